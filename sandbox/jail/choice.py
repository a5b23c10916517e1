"""Which jail works on this machine: bubblewrap's, or else that of Landlock, and never none.

jail = open_jail(layout)     # the better one of the two; the same methods, whichever it is
jail_notice()                # what a person should know of it: "" for bubblewrap's
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.jail import seccomp
from sandbox.jail.bubblewrap import BubblewrapJail, drop_root
from sandbox.jail.inside import landlock
from sandbox.jail.jail import Jail
from sandbox.jail.landlock import LandlockJail
from sandbox.jail.layout import ENVIRONMENT, INSTALL_HINT, Layout

TRIAL = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--disable-userns"),
    *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"),
)
"""Arguments of bubblewrap: does it work at all?"""
TRIAL_SECONDS = 30


def open_jail(
    layout: Layout,
    tier: str = "forked",
    files: tuple[str, ...] = (),
    path: tuple[str, ...] = (),
    on_start: Callable[[Jail], None] = lambda jail: None,
) -> Jail:
    """A jail of the better kind that works on this machine; the arguments are those of `Jail`.
    Raises UsageError where there is none, and HarnessError if it cannot be started."""
    kind = LandlockJail if jail_notice() else BubblewrapJail
    return kind(layout, tier, files, path, on_start)


def jail_notice() -> str:
    """What a person should know of the jail on this machine: "" if it is that of bubblewrap. Raises
    UsageError where there is none."""
    return _notice(shutil.which("bwrap"))


@lru_cache
def _notice(bwrap: str | None) -> str:
    fault = _fault_of(bwrap)
    if not fault:
        return ""
    version = landlock.version()
    if version < landlock.MINIMUM or platform.machine() not in seccomp.MACHINES:
        kernel = f"version {version}" if version else "none, or has it switched off"
        raise UsageError(
            f"No working jail: {fault}, and the second choice, Landlock {landlock.MINIMUM} (Linux "
            f"6.12), is not there either (this kernel has {kernel}). coldstart never runs a "
            f"model's code without a jail. {INSTALL_HINT} If it is installed, user namespaces may "
            "be switched off: on Ubuntu, "
            "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` allows them."
        )
    return (
        f"The jail is made of Landlock, the second choice, because {fault}. Tests that need "
        "sockets, /tmp by its name, or to change modes and times of files fail in it, and so are "
        "left out." + (f" {INSTALL_HINT}" if bwrap is None else "")
    )


def _fault_of(bwrap: str | None) -> str:
    """Why bubblewrap cannot be used; "" if it can."""
    if bwrap is None:
        return "bubblewrap is not installed"
    command = [bwrap, *TRIAL]
    if os.geteuid() == 0:
        command = [*drop_root(Path("/"), []), *command]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            timeout=TRIAL_SECONDS,
            env={"PATH": ENVIRONMENT["PATH"]},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here ({error})"
    if done.returncode == 0:
        return ""
    return f"bubblewrap does not work here ({done.stderr.strip() or 'it says nothing'})"
