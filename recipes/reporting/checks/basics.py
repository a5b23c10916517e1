"""What every machine needs: Python, git, a jail, a compiler, room on the disk."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from recipes.reporting.checks.machine import HEADERS, Check, Machine, System, fault, note, ok
from sandbox.errors import HarnessError, UsageError

MIB = 1 << 20
GIB = 1 << 30
LEAST_DISK, ENOUGH_DISK = 1 * GIB, 20 * GIB
COMPILER = {
    "debian": "build-essential cmake",
    "fedora": "gcc-c++ cmake",
    "arch": "base-devel cmake",
}
USER_NAMESPACES = (
    ("apparmor_restrict_unprivileged_userns", "kernel", "1", "0"),  # Ubuntu since 23.10
    ("unprivileged_userns_clone", "kernel", "0", "1"),  # Debian before 11, Arch's hardened kernel
    ("max_user_namespaces", "user", "0", "15000"),  # hardened Fedora and its relatives
)
"""(setting, its group in /proc/sys, the value that forbids user namespaces, the one that allows
them)"""


def check_python(machine: Machine) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):
        return fault(
            "Python",
            f"{version}, and coldstart needs 3.11 or newer",
            "make a virtual environment with python3.11 or newer",
        )
    return ok("Python", f"{version} ({sys.executable})")


def check_git(machine: Machine) -> Check:
    try:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        words = "is not there, and the repository is read through it"
        return fault("git", words, machine.system.install("git"))
    return ok("git", done.stdout.strip())


def check_jail(machine: Machine) -> Check:
    """Really starts a jail, around a small project made for it, and tries to get out."""
    system = machine.system
    try:
        notice, limits = _try_to_escape()
    except (UsageError, HarnessError) as error:
        is_missing = "No working jail" in str(error)
        return fault("jail", str(error), fix_jail(system) if is_missing else "")
    except (OSError, subprocess.SubprocessError):
        words = "could not be tried, because git does not work"
        return fault("jail", words, system.install("git"))
    if notice:
        return note("jail", f"{notice} It has {limits}.", fix_jail(system))
    return ok(
        "jail",
        "bubblewrap; code in it was refused the network, the home folder and the host's processes; "
        + limits,
    )


def _try_to_escape() -> tuple[str, str]:
    """What a person should know of the jail, and its limits in words. Raises UsageError and
    HarnessError where it does not hold, OSError and SubprocessError where git does not work."""
    from sandbox.cache import remove
    from sandbox.jail.choice import jail_notice
    from sandbox.repo import open_repository, try_jail

    with tempfile.TemporaryDirectory(prefix="coldstart-doctor-") as folder:
        project = Path(folder) / "project"
        project.mkdir()
        (project / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        user = ["-c", "user.name=coldstart", "-c", "user.email=coldstart@localhost"]
        commit = ["commit", "-q", "--allow-empty", "-m", "start"]
        for command in (["init", "-q"], [*user, *commit]):
            subprocess.run(
                ["git", *command], cwd=project, check=True, capture_output=True, timeout=30
            )
        repository = open_repository(project, sys.executable)
        try:
            limits = try_jail(repository)
            return jail_notice(), limits
        finally:
            remove(repository.snapshot)


def fix_jail(system: System, proc_sys: Path = Path("/proc/sys")) -> str:
    """The command that gives this machine the better jail."""
    if shutil.which("bwrap") is None:
        return system.install("bubblewrap")
    for name, group, forbidden, allowed in USER_NAMESPACES:
        file = proc_sys / group / name
        if file.is_file() and file.read_text().strip() == forbidden:
            return (
                f"sudo sysctl -w {group}.{name}={allowed}   (to keep it: "
                f"echo {group}.{name}={allowed} | sudo tee /etc/sysctl.d/60-coldstart.conf)"
            )
    return (
        "in a container: start it so that it may make user namespaces, or run coldstart outside "
        "of it"
    )


def check_compiler(machine: Machine) -> Check:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler and machine.card and not (Path(machine.headers) / "Python.h").is_file():
        words = "Python.h is missing: unsloth's kernels are compiled with it when first used"
        return fault("compiler", words, machine.system.install(HEADERS))
    if compiler:
        return ok("compiler", compiler)
    install = machine.system.install(COMPILER)
    if machine.card:
        words = "no C compiler: unsloth's kernels are compiled when they are first used"
        return fault("compiler", words, install)
    words = "no C compiler: llama-cpp-python cannot be installed where there is no wheel for it"
    return note("compiler", words, install)


def check_disk(machine: Machine) -> Check:
    from sandbox.cache import cache_folder

    free = {place: _free(place) for place in (machine.folder, cache_folder())}
    words = ", ".join(f"{space / GIB:.1f} GiB free at {place}" for place, space in free.items())
    least = min(free.values())
    if least < LEAST_DISK:
        return fault(
            "disk",
            words,
            "make room: 1 GiB at the least, 20 GiB for a model of a few billion weights",
        )
    if least < ENOUGH_DISK:
        return note("disk", f"{words}: enough for a small student, scarce for a model from a hub")
    return ok("disk", words)


def _free(place: Path) -> int:
    """Of the nearest folder above that is there."""
    place = place.absolute()
    return shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free


def check_cache(machine: Machine) -> Check:
    """How large the cache is, by part, and what of it is deleted by whom."""
    from sandbox import cache

    try:
        facts = cache.facts()
    except UsageError as error:
        return fault("cache", str(error), f"unset {cache.BOUND_NAME}")
    parts = [
        f"; {part['what']} {cache.size_in_words(part['bytes'])}"
        for part in facts["parts"].values()
        if part["entries"] or part["bytes"] >= MIB
    ]
    words = (
        f"{cache.size_in_words(facts['bytes'])} at {facts['folder']}, pruned above "
        f"{cache.size_in_words(facts['bound'])}{''.join(parts)}"
    )
    if facts["parts"][cache.REPLIES]["entries"]:
        words += ". What was paid for is never pruned; `cache --empty-replies` deletes it"
    if facts["bytes"] <= facts["bound"]:
        return ok("cache", words)
    fix = f"python coldstart.py cache --empty   (or allow it more GiB: {cache.BOUND_NAME}=N)"
    return note("cache", words, fix)
