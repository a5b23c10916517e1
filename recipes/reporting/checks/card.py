"""The card, and the recipe that fits it."""

import subprocess
from pathlib import Path

from recipes.learning.gguf_student import find
from recipes.reporting.checks.machine import Card, Check, Machine, fault, note, ok
from recipes.settings import CARD_MEMORY_MIB, fitting_recipe, load, names
from sandbox.errors import UsageError

DRIVER = {
    "debian": "sudo ubuntu-drivers install, on Debian sudo apt install nvidia-driver; then restart",
    "fedora": "sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda, from RPM Fusion; then "
    "restart",
    "arch": "sudo pacman -S nvidia-open nvidia-utils; then restart",
}
NVIDIA, DISPLAY = "0x10de", "0x03"
"""How a PCI device says who made it, and how the class of one that shows pictures begins."""


def find_card() -> Card | None:
    """None where no driver tells of one."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,memory.free",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
        name, driver, total, free = (
            part.strip() for part in done.stdout.splitlines()[0].split(",")
        )
        return Card(name, driver, int(total), int(free)) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return None


def check_card(machine: Machine, devices: Path = Path("/sys/bus/pci/devices")) -> Check:
    card, system = machine.card, machine.system
    if card is not None:
        words = f"{card.name}, driver {card.driver}, {card.free} of {card.total} MiB free"
        if card.free < 0.8 * card.total:
            fix = "nvidia-smi shows what; close it before a run"
            return note("card", f"{words}: something else uses it", fix)
        return ok("card", words)
    if system.wsl and Path("/dev/dxg").exists():
        return note(
            "card",
            "WSL2 offers a card, but no NVIDIA driver answers",
            "install NVIDIA's driver in Windows (none in WSL2), then: wsl --shutdown",
        )
    if devices.is_dir() and any(map(_is_nvidia_card, devices.iterdir())):
        return fault(
            "card",
            "an NVIDIA card is there, but its driver does not answer (nvidia-smi)",
            DRIVER.get(system.family, "install NVIDIA's driver"),
        )
    return note("card", "no NVIDIA card: the recipe smollm2 runs on the processor")


def _is_nvidia_card(device: Path) -> bool:
    return _read(device / "vendor") == NVIDIA and _read(device / "class").startswith(DISPLAY)


def check_recipe(machine: Machine) -> Check:
    """Which recipe fits, and why; a student that is missing is a fault."""
    name = fitting_recipe()
    if machine.card is None:
        try:
            find(load(name).student.model)
        except UsageError as error:
            words, _, command = str(error).partition(": ")
            is_pip = command.startswith("pip ")
            return fault("recipe", f"{name}: {words}", f"{machine.python} -m {command}" * is_pip)
        return ok("recipe", f"{name}: there is no card that could do more")
    needs = ", ".join(
        f"{recipe} from {need} MiB" for recipe, need in CARD_MEMORY_MIB.items() if recipe in names()
    )
    words = (
        f"{name}: the card has {machine.card.total} MiB ({needs or 'no recipe for cards is there'})"
    )
    return ok("recipe", words) if name in CARD_MEMORY_MIB else note("recipe", words)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
