"""What this machine can do, and what mends what it cannot: in seconds, and without loading a model.

    checks = examine(this_system(), folder)           # in order, one Check after the other
    checks.append(check_teacher(find_endpoint("glm-5.2"), keys))
    can_run(checks)

What is said to work was done: a matrix was multiplied in 4 bits, code in a jail tried to get out,
llama.cpp was asked what it was built for. What could take this process down with it, or needs
torch, is tried in a process of its own. On a machine with an NVIDIA card a fault is whatever keeps
the card from learning; on one without, whatever keeps the nano student from it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from recipes.settings import CARD_MEMORY_MIB, fitting_recipe, names
from sandbox.errors import HarnessError, UsageError

TRIAL_SECONDS = 120.0
"""After which a trial is given up; it takes a few seconds, more where the disk is slow to give the
libraries."""
MIB = 1 << 20
GIB = 1 << 30
LEAST_DISK, ENOUGH_DISK = 1 * GIB, 20 * GIB
TEACHER_SECONDS = 30.0

TORCH_TRIAL = """
import json, sys
def say(**facts): print(json.dumps(facts), flush=True)
import torch
say(torch=torch.__version__, built_for=torch.version.cuda, cuda=torch.cuda.is_available())
device = "cuda" if torch.cuda.is_available() else "cpu"
import bitsandbytes
from bitsandbytes.functional import quantize_4bit
say(bitsandbytes=bitsandbytes.__version__)
weight, x = torch.randn(64, 64, device=device), torch.randn(4, 64, device=device)
packed, state = quantize_4bit(weight, quant_type="nf4")
exact = x @ weight.t()
say(error=float((bitsandbytes.matmul_4bit(x, packed.t(), quant_state=state) - exact).norm() / exact.norm()))
import importlib.util
if importlib.util.find_spec("torchvision"):
    import torchvision
if device == "cuda" and importlib.util.find_spec("unsloth"):
    import unsloth
    say(unsloth=unsloth.__version__)
import transformers, peft
say(transformers=transformers.__version__, peft=peft.__version__)
"""
LLAMA_TRIAL = """
import json, llama_cpp
print(json.dumps({"version": llama_cpp.__version__, "gpu": bool(llama_cpp.llama_supports_gpu_offload())}))
"""
LARGEST_ERROR = 0.2
"""Of a product in NF4, relative; it is about 0.1."""

INSTALL = {
    "debian": "sudo apt install {}",
    "fedora": "sudo dnf install {}",
    "arch": "sudo pacman -S {}",
}
"""What installs a package; on WSL2 that of the system in it. Other systems are told the package's
name."""
COMPILER = {
    "debian": "build-essential cmake",
    "fedora": "gcc-c++ cmake",
    "arch": "base-devel cmake",
}
DRIVER = {
    "debian": "sudo ubuntu-drivers install, on Debian sudo apt install nvidia-driver; then restart",
    "fedora": "sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda, from RPM Fusion; then "
    "restart",
    "arch": "sudo pacman -S nvidia-open nvidia-utils; then restart",
}
USER_NAMESPACES = (
    ("apparmor_restrict_unprivileged_userns", "kernel", "1", "0"),  # Ubuntu since 23.10
    ("unprivileged_userns_clone", "kernel", "0", "1"),  # Debian before 11, Arch's hardened kernel
    ("max_user_namespaces", "user", "0", "15000"),  # hardened Fedora and its relatives
)
"""(setting, its group in /proc/sys, the value that forbids user namespaces, the one that allows
them)"""


@dataclass(frozen=True)
class Check:
    """What one check came to."""

    name: str
    state: str
    """`ok`; `note`: worth knowing, the main job runs; `fault`: it does not."""
    words: str
    mend: str = ""
    """The command that mends it on this system, or what to do; empty where there is nothing to
    mend."""

    def to_dict(self) -> dict:
        return {"name": self.name, "state": self.state, "words": self.words, "mend": self.mend}


@dataclass(frozen=True)
class System:
    """What decides which command mends a fault."""

    family: str
    """`debian`, `fedora`, `arch`, or "" for any other."""
    wsl: bool = False

    def install(self, package: str | dict[str, str]) -> str:
        name = package if isinstance(package, str) else package.get(self.family, package["debian"])
        return INSTALL.get(self.family, "install the package {} of your system").format(name)


def this_system(
    os_release: Path = Path("/etc/os-release"), version: Path = Path("/proc/version")
) -> System:
    """The system by the files in which it says what it is."""
    text = os_release.read_text(encoding="utf-8", errors="replace") if os_release.is_file() else ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    like = {word for key in ("ID", "ID_LIKE") for word in fields.get(key, "").strip("\"'").split()}
    families = (
        ("debian", {"debian", "ubuntu"}),
        ("fedora", {"fedora", "rhel", "centos"}),
        ("arch", {"arch"}),
    )
    family = next((family for family, members in families if members & like), "")
    return System(
        family, version.is_file() and "microsoft" in version.read_text(errors="replace").lower()
    )


def examine(system: System, folder: Path) -> Iterator[Check]:
    """All checks but that of a teacher; `folder` is where runs are to be kept."""
    yield check_python()
    yield check_git(system)
    yield check_jail(system)
    card = find_card()
    yield check_card(card, system)
    yield from check_torch(card is not None)
    yield check_llama(card is not None)
    yield check_compiler(card is not None, system)
    yield check_disk(folder)
    yield check_cache()
    yield check_recipe(card)


def can_run(checks: list[Check]) -> bool:
    """Whether the main job can run."""
    return all(check.state != "fault" for check in checks)


# ------------------------------------------------------------------------- what every machine needs


def check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):
        return Check(
            "Python",
            "fault",
            f"{version}, and coldstart needs 3.11 or newer",
            "make a virtual environment with python3.11 or newer",
        )
    return Check("Python", "ok", f"{version} ({sys.executable})")


def check_git(system: System) -> Check:
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return Check(
            "git",
            "fault",
            "is not there, and the repository is read through it",
            system.install("git"),
        )
    return Check("git", "ok", done.stdout.strip())


def check_jail(system: System) -> Check:
    """Really starts a jail, around a small project made for it, and tries to get out."""
    from sandbox.cache import remove
    from sandbox.repo import check_jail as try_to_escape
    from sandbox.repo import open_repository

    with tempfile.TemporaryDirectory(prefix="coldstart-doctor-") as folder:
        project = Path(folder) / "project"
        project.mkdir()
        (project / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        try:
            for command in (
                ["init", "-q"],
                [
                    "-c",
                    "user.name=coldstart",
                    "-c",
                    "user.email=coldstart@localhost",
                    "commit",
                    "-q",
                    "--allow-empty",
                    "-m",
                    "start",
                ],
            ):
                subprocess.run(
                    ["git", *command], cwd=project, check=True, capture_output=True, timeout=30
                )
            repository = open_repository(project, sys.executable)
            try:
                notice = try_to_escape(repository)
            finally:
                remove(repository.snapshot)
        except (UsageError, HarnessError) as error:
            return Check(
                "jail",
                "fault",
                str(error),
                mend_jail(system) if "No working jail" in str(error) else "",
            )
        except (OSError, subprocess.SubprocessError):
            return Check(
                "jail",
                "fault",
                "could not be tried, because git does not work",
                system.install("git"),
            )
    if notice:
        return Check("jail", "note", notice, mend_jail(system))
    return Check(
        "jail",
        "ok",
        "bubblewrap; code in it was refused the network, the home folder and the host's processes",
    )


def mend_jail(system: System, proc_sys: Path = Path("/proc/sys")) -> str:
    """The command that gives this machine the better jail."""
    if shutil.which("bwrap") is None:
        return system.install("bubblewrap")
    for name, group, forbidden, allowed in USER_NAMESPACES:
        file = proc_sys / group / name
        if file.is_file() and file.read_text().strip() == forbidden:
            return (
                f"sudo sysctl -w {group}.{name}={allowed}   (to keep it: echo "
                f"{group}.{name}={allowed} | sudo tee "
                "/etc/sysctl.d/60-coldstart.conf)"
            )
    return (
        "in a container: start it so that it may make user namespaces, or run coldstart "
        "outside "
        "of it"
    )


def check_disk(folder: Path) -> Check:
    from sandbox.cache import cache_folder

    free = {place: _free(place) for place in (folder, cache_folder())}
    words = ", ".join(f"{space / GIB:.1f} GiB free at {place}" for place, space in free.items())
    if min(free.values()) < LEAST_DISK:
        return Check(
            "disk",
            "fault",
            words,
            "make room: 1 GiB at the least, 20 GiB for a model of a few billion weights",
        )
    return Check(
        "disk",
        "ok" if min(free.values()) >= ENOUGH_DISK else "note",
        words
        + (
            ""
            if min(free.values()) >= ENOUGH_DISK
            else ": enough for the nano student, scarce for a model from a hub"
        ),
    )


def check_cache() -> Check:
    """How large the cache is, by part, and what of it is deleted by whom."""
    from sandbox import cache

    try:
        found = cache.facts()
    except UsageError as error:
        return Check("cache", "fault", str(error), f"unset {cache.BOUND_NAME}")
    held = [
        f"{part['what']} {cache.size_in_words(part['bytes'])}"
        for part in found["parts"].values()
        if part["entries"] or part["bytes"] >= MIB
    ]
    over = found["bytes"] > found["bound"]
    words = (
        f"{cache.size_in_words(found['bytes'])} at {found['folder']}, pruned above "
        f"{cache.size_in_words(found['bound'])}" + "".join(f"; {part}" for part in held)
    )
    if found["parts"][cache.REPLIES]["entries"]:
        words += ". What was paid for is never pruned; `cache --empty-replies` deletes it"
    return Check(
        "cache",
        "note" if over else "ok",
        words,
        f"python coldstart.py cache --empty   (or allow it more GiB: {cache.BOUND_NAME}=N)"
        if over
        else "",
    )


def _free(place: Path) -> int:
    """Of the nearest folder above that is there."""
    place = place.absolute()
    return shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free


# ----------------------------------------------------------------------- the card and what computes


@dataclass(frozen=True)
class Card:
    """The first CUDA card as its driver tells of it."""

    name: str
    driver: str
    total: int
    """MiB, as is `free`."""
    free: int


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


def check_card(
    card: Card | None, system: System, devices: Path = Path("/sys/bus/pci/devices")
) -> Check:
    if card is not None:
        words = f"{card.name}, driver {card.driver}, {card.free} of {card.total} MiB free"
        if card.free < 0.8 * card.total:
            return Check(
                "card",
                "note",
                words + ": something else uses it",
                "nvidia-smi shows what; close it before a run",
            )
        return Check("card", "ok", words)
    if system.wsl and Path("/dev/dxg").exists():
        return Check(
            "card",
            "note",
            "WSL2 offers a card, but no NVIDIA driver answers",
            "install NVIDIA's driver in Windows (none in WSL2), then: wsl --shutdown",
        )
    found = devices.iterdir() if devices.is_dir() else ()
    if any(
        _read(device / "vendor") == "0x10de" and _read(device / "class").startswith("0x03")
        for device in found
    ):
        return Check(
            "card",
            "fault",
            "an NVIDIA card is there, but its driver does not answer (nvidia-smi)",
            DRIVER.get(system.family, "install NVIDIA's driver"),
        )
    return Check("card", "note", "no NVIDIA card: the nano recipe runs on the processor")


def check_torch(card: bool, python: str = sys.executable) -> Iterator[Check]:
    """torch, the 4-bit product and what is built on them, tried in another process; `card`: a
    card's driver answers."""
    facts, end = _trial(python, TORCH_TRIAL)
    requirements = "requirements.txt" if card else "requirements-cpu.txt"
    install = f"{python} -m pip install -r {requirements}"
    if "torch" not in facts:
        yield Check("torch", "fault", f"cannot be loaded: {end}", install)
        return
    built = f"{facts['torch']}, " + (
        f"built for CUDA {facts['built_for']}"
        if facts["built_for"]
        else "built for the processor alone"
    )
    if card and not facts["cuda"]:
        yield Check(
            "torch",
            "fault",
            f"{built}, and does not see the card",
            f"{python} -m pip install --force-reinstall torch   (with the build for CUDA that your "
            "driver can run)",
        )
    else:
        yield Check("torch", "ok", built)
    if "error" not in facts:
        yield Check("4-bit", "fault", f"bitsandbytes does not work: {end}", install)
        return
    wrong = not facts["error"] < LARGEST_ERROR
    yield Check(
        "4-bit",
        "fault" if wrong else "ok",
        f"bitsandbytes {facts['bitsandbytes']}: a product in NF4 on the "
        f"{'card' if facts['cuda'] else 'processor'} was off by {100 * facts['error']:.0f} %, "
        + (
            f"more than the {100 * LARGEST_ERROR:.0f} % that rounding explains"
            if wrong
            else "as rounding to 4 bits makes it"
        ),
        install if wrong else "",
    )
    if "transformers" in facts:
        yield Check(
            "model libraries", "ok", f"transformers {facts['transformers']}, peft {facts['peft']}"
        )
    elif not card and "torchvision" in end:
        yield Check(
            "model libraries",
            "fault",
            f"torchvision does not fit this build of torch: {end}",
            f"{python} -m pip uninstall -y torchvision unsloth",
        )
    else:
        yield Check("model libraries", "fault", f"cannot be loaded: {end}", install)
    if facts["cuda"]:
        yield (
            Check("unsloth", "ok", facts["unsloth"])
            if "unsloth" in facts
            else Check(
                "unsloth",
                "note",
                "is not there or does not load: training goes through plain transformers, slower "
                "and with more "
                "memory",
                install,
            )
        )


def check_llama(card: bool, python: str = sys.executable) -> Check:
    """llama.cpp, asked in another process what it was built for."""
    facts, end = _trial(python, LLAMA_TRIAL)
    if not facts:
        return Check(
            "llama.cpp",
            "note",
            f"llama-cpp-python cannot be loaded ({end}): the training model samples itself",
            f"{python} -m pip install -r requirements-cpu.txt",
        )
    if card and not facts["gpu"]:
        return Check(
            "llama.cpp",
            "note",
            f"llama-cpp-python {facts['version']} is built without CUDA: rollouts would leave the "
            "card idle",
            f'CMAKE_ARGS="-DGGML_CUDA=on" {python} -m pip install --force-reinstall --no-cache-dir '
            '--no-binary llama-cpp-python '
            f'"llama-cpp-python=={facts["version"]}"',
        )
    return Check(
        "llama.cpp",
        "ok",
        f"llama-cpp-python {facts['version']}, built for "
        f"{'a card' if facts['gpu'] else 'the processor'}",
    )


def check_compiler(card: bool, system: System) -> Check:
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if found:
        return Check("compiler", "ok", found)
    return Check(
        "compiler",
        "fault" if card else "note",
        "no C compiler: "
        + (
            "unsloth's kernels are compiled when they are first used"
            if card
            else "llama-cpp-python cannot be installed where there is no wheel for it"
        ),
        system.install(COMPILER),
    )


def check_recipe(card: Card | None) -> Check:
    """Which recipe fits, and why."""
    name = fitting_recipe()
    if card is None:
        return Check("recipe", "ok", f"{name}: there is no card that could do more")
    needs = ", ".join(
        f"{recipe} from {need} MiB" for recipe, need in CARD_MEMORY_MIB.items() if recipe in names()
    )
    return Check(
        "recipe",
        "ok" if name in CARD_MEMORY_MIB else "note",
        f"{name}: the card has {card.total} MiB ({needs or 'no recipe for cards is there'})",
    )


def _trial(python: str, code: str) -> tuple[dict, str]:
    """What the code said before it ended, and how it ended, in words; "" where it ended well."""
    try:
        # -P: else a file named torch.py in this folder would be loaded.
        done = subprocess.run(
            [python, "-P", "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, "it takes too long" if isinstance(error, subprocess.TimeoutExpired) else str(
            error
        )
    facts: dict = {}
    for line in done.stdout.splitlines():
        try:
            facts.update(json.loads(line))
        except (ValueError, TypeError):  # a library's own words
            continue
    said = done.stderr.strip().splitlines()
    end = (
        f"signal {-done.returncode}"
        if done.returncode < 0
        else said[-1][:300]
        if said
        else f"exit code {done.returncode}"
    )
    return facts, end if done.returncode else ""


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


# -------------------------------------------------------------------------------------- the teacher


def check_teacher(find: Callable, keys: dict[str, str]) -> Check:
    """One call of one token to the endpoint that `find()` gives: is it there, and does it take the
    key?"""
    import asyncio

    from recipes.teachers.client import Client, Fault
    from recipes.teachers.endpoint import fit_key
    from recipes.teachers.ledger import usd

    async def ask(endpoint, key: str):
        client = Client(endpoint, key, TEACHER_SECONDS, TEACHER_SECONDS)
        try:
            return await client.send(
                endpoint.body([{"role": "user", "content": "Say yes."}], 0.0, 0)
            )
        finally:
            await client.close()

    try:
        endpoint = replace(find(), max_output=1)
        asyncio.run(ask(endpoint, fit_key(endpoint, keys)))
    except UsageError as error:
        return Check("teacher", "fault", str(error))
    except Fault as fault:
        return Check(
            "teacher",
            "fault",
            fault.stop or f"{endpoint.name} ({endpoint.base_url}): {fault}",
            ""
            if fault.stop
            else "check the address and this machine's connection; else wait, and try again",
        )
    price = (
        "what that cost is not known here"
        if endpoint.price is None
        else f"for at most ${usd(endpoint.worst({'messages': []})):.6f}"
    )
    return Check(
        "teacher", "ok", f"{endpoint.name} answers as {endpoint.model}, and takes the key ({price})"
    )


def lines(checks: list[Check], width: int) -> list[str]:
    """For people: no line is longer than `width` but for commands, which are to be copied."""
    out = []
    for check in checks:
        out += textwrap.wrap(
            f"{check.state:6}{check.name}: {check.words}",
            width,
            subsequent_indent=" " * 6,
            break_on_hyphens=False,
        )
        if check.mend:
            out.append(f"      -> {check.mend}")
    return out
