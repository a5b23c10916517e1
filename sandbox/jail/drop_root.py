"""Run by root only: stage the folders that a jail needs, become `nobody`, then start the jail.

    python -I -S drop_root.py STAGE SOURCE... -- COMMAND...

Bubblewrap started by root would give the jailed code root's own user id outside (only its
capabilities would be gone). So root opens the way to the folders in a mount namespace of its own
(every SOURCE is bound at STAGE/0, STAGE/1, ..., where an ordinary user may go, whatever the modes
of the folders above it are) and drops to `nobody` before anything else happens. The mounts are
private: no other process sees them, and they end with this one. Nothing is read from the
environment.
"""

import ctypes
import os
import sys

NOBODY = 65534
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x00020000, 4096, 16384, 1 << 18


def main() -> None:
    stage, *rest = sys.argv[1:]
    split = rest.index("--")
    sources, command = rest[:split], rest[split + 1 :]
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result:
            sys.exit(f"cannot {what}: {os.strerror(ctypes.get_errno())}")

    check(libc.unshare(CLONE_NEWNS), "make a mount namespace")
    check(
        libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None),
        "make the mounts private",
    )
    for number, source in enumerate(sources):
        target = os.path.join(stage, str(number))
        check(
            libc.mount(
                os.fsencode(source),
                os.fsencode(target),
                None,
                ctypes.c_ulong(MS_BIND | MS_REC),
                None,
            ),
            f"bind {source}",
        )
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.chdir("/")
    os.execv(command[0], command)


try:
    main()
except (
    OSError
) as error:  # a container that keeps root's own rights, or a program that nobody else may run
    sys.exit(
        f"cannot become nobody and start {sys.argv[sys.argv.index('--') + 1]}: {error.strerror}"
    )
