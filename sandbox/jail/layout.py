"""What a jail shows to the code in it, whatever the jail is made of."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

INSIDE = Path(__file__).parent / "inside"
"""The code that runs in a jail."""
NOBODY = 65534
"""The user that a jail of root's runs as (`drop_root.py`, which runs alone, has the number, too);
Landlock's only where it can have no user of its own."""
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32")
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/mime.types",
)
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp/home",
    "TMPDIR": "/tmp/t",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""The whole environment inside."""
OPTIONS = ("-s", "-B")
"""Of the interpreter inside. Not `-I`, which would have it draw a hash seed of its own: the order
of sets, and with it the ids of some tests, would be another one in every jail."""
INSTALL_HINT = (
    "Install bubblewrap (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap; "
    "Arch: pacman -S bubblewrap)."
)


@dataclass(frozen=True)
class Layout:
    """What one jail shows to the code in it. All paths are absolute paths of the host."""

    root: Path
    """Where the tree appears inside: the project's own folder, so that editable installs lead to
    the copy."""
    tree: Path
    """The snapshot that it shows, read-only underneath."""
    python: Path
    """The project's interpreter."""
    folders: tuple[Path, ...]
    """Read-only folders that the interpreter needs (prefixes, site-packages)."""
    masked: tuple[Path, ...] = ()
    """Files and folders in there that must not be seen: an installed copy of the project itself."""
    bytecode: Path | None = None
    """pytest's cache files for the intact tests, laid over the tree."""
    preload: tuple[str, ...] = ()
    """Modules that a `forked` jail loads before it sees the tree."""
    given: dict[str, str] = field(default_factory=dict)
    """{path: text} of files that an `in-process` jail has in its tree beside those of the snapshot.
    """
    scratch_mb: int = 256
    """Size of each writable file system in the jail, MiB."""


def open_temporary_folder() -> Path:
    """The temporary folder; /tmp for a root whose own is closed to others, because the jail of root
    runs as `nobody`."""
    folder = Path(tempfile.gettempdir()).resolve()
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents])
    return folder if open_to_all or os.geteuid() != 0 else Path("/tmp")


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it (both absolute, no links resolved)."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
