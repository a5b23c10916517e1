"""What is kept between runs, and how it stays small: snapshots, students, what test suites showed.

    hold(path)                        # before looking whether an entry is there
    make_room(screen.say)             # after entries may have been made
    facts()                           # where it is, its parts, their sizes
    empty(rest=True, replies=False)   # all but what was paid for

The cache is a folder of parts (`PARTS`), and a part a folder of entries that are made once and
never changed. What is larger than `bound()` is pruned: the entries that were not used for longest
are deleted first, and made again by the command that needs them. Never deleted is what a living
process holds, and, unless a person asks for it by name, what was paid for.

Each entry has a marker, an empty file in `used/PART/`. Who uses the entry holds a shared lock on
it, which ends with the process; its time stamp is that of the last use. The markers lie beside the
entries, because code in a jail may see the inside of an entry, and could lock it.
"""

import errno
import fcntl
import math
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from sandbox.errors import UsageError
from sandbox.jsonl import sync

GIB = 1 << 30
BOUND_NAME = "COLDSTART_CACHE_GB"
BOUND = 20
"""GiB. The largest student of the recipes has 15 as a file for llama.cpp: a bound below that would
have it written anew again and again."""
TORN_AFTER = 24 * 3600.0
"""Seconds after which what is half made, and held by nobody, is what a killed process has left."""
MAKING = 3600.0
"""Seconds for which what is half made is left alone where a person empties the cache: whoever makes
it holds it, but for the moment in which it begins, and but for the student made on the spot."""
PARTS = {
    "trees": "snapshots of repositories",
    "bytecode": "compiled tests of snapshots",
    "surveys": "what runs of test suites showed",
    "students": "students made or unpacked here",
    "gguf": "students as llama.cpp reads them",
    "teacher": "replies of API teachers, paid for",
}
NO_LOCKS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOLCK, errno.EOPNOTSUPP}
"""Errors of a cache that is only read, or that knows no locks: it is used without, and what cannot
be locked is never pruned."""
REPLIES = "teacher"
MARKERS = "used"
IN_USE = "in use"
OTHER = "other"
"""What is half made, the markers, and whatever is no part of this cache."""

_held: dict[Path, int] = {}
"""{marker: descriptor that holds its lock} of this process"""
_awaited: set[Path] = set()
"""What was not there when it was held: an entry that this process may make."""


def cache_folder() -> Path:
    """Where it is: $XDG_CACHE_HOME/coldstart or ~/.cache/coldstart."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "coldstart"


def bound() -> float:
    """How large it may become, bytes. Raises UsageError where the setting means nothing."""
    setting = os.environ.get(BOUND_NAME) or str(BOUND)
    try:
        size = float(setting)
    except ValueError:
        size = math.nan
    if not 0 < size * GIB < math.inf:
        raise UsageError(
            f"{BOUND_NAME} is {setting!r}, and must be a number above 0: how many GiB "
            f"{cache_folder()} may take. Where it is not set that is {BOUND}."
        )
    return size * GIB


# ----------------------------------------------------------------------------------- in use


def hold(path: Path) -> None:
    """Let nobody prune this entry, whether it is there yet or not, before this process ends or
    releases it; it counts as used now. Nothing happens where the path is none of the cache's."""
    marker = _marker(path)
    if marker is None:
        return
    if marker not in _held or not _is_file_of(_held[marker], marker):
        release(path)
        try:
            _held[marker] = _locked(marker, fcntl.LOCK_SH)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return
            raise
    os.utime(_held[marker])
    if not os.path.lexists(path):
        _awaited.add(path)


def release(path: Path) -> None:
    """Hold it no longer."""
    marker = _marker(path)
    if marker is not None and marker in _held:
        os.close(_held.pop(marker))


def remove(path: Path) -> None:
    """Delete what nobody will want again, in the cache or not, where it is there at all; not where
    another process holds it."""
    release(path)
    _awaited.discard(path)
    marker = _marker(path)
    if marker is not None and marker.exists():
        _delete(Entry(marker, {path: 0}, 0.0, False))
    else:
        _delete_aside(path)


@contextmanager
def made_aside(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` that takes its place when the block ends well, flushed to the
    disk, and is removed when it does not. Where another process was faster, its folder stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield aside
        for path in aside.iterdir():
            path.chmod(0o644)
            sync(path)
        aside.chmod(0o755)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _marker(path: Path) -> Path | None:
    """The marker of the entry that lies there, or is to. What is laid over a snapshot has that of
    the snapshot: it is of use only with it."""
    folder = cache_folder()
    try:
        part, name = path.relative_to(folder).parts[:2]
    except ValueError:
        part, name = (REPLIES, "all") if path == folder / REPLIES else ("", "")
    if part == "bytecode" and not name.startswith("."):
        part, name = "trees", name.rpartition("-")[0] or name
    return folder / MARKERS / part / name if part in PARTS else None


def _locked(marker: Path, how: int) -> int:
    """A descriptor of the marker with this lock on it. Raises BlockingIOError with LOCK_NB."""
    marker.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        descriptor = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            if _is_file_of(descriptor, marker):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # deleted with its entry while we waited


def _is_file_of(descriptor: int, marker: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(marker))
    except FileNotFoundError:
        return False


def _is_held(marker: Path) -> bool:
    """Whether a living process, this one or another, holds it."""
    try:
        descriptor = os.open(marker, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # also where there are no locks: nobody knows
        return True
    finally:
        os.close(descriptor)
    return False


# ----------------------------------------------------------------------------------- what is there


@dataclass(frozen=True)
class Entry:
    """What is deleted as a whole, and used as a whole."""

    marker: Path
    sizes: dict[Path, int]
    """{path: bytes on the disk} of what belongs to it"""
    used: float
    """When it was last used, seconds since 1970; now, where it is in use."""
    in_use: bool

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    @property
    def is_half_made(self) -> bool:
        return self.marker.name.startswith(".")

    @property
    def is_paid(self) -> bool:
        return self.marker.parent.name == REPLIES

    @property
    def name(self) -> str:
        return REPLIES if self.is_paid else f"{self.marker.parent.name}/{self.marker.name}"

    def part_of(self, path: Path) -> str:
        """Under which part this path of the entry is counted."""
        return OTHER if self.is_half_made else path.relative_to(cache_folder()).parts[0]


def entries() -> list[Entry]:
    """All entries of all parts, the longest unused first. A part that is a link is left alone."""
    seen: set[tuple[int, int]] = set()
    found = [_entry(marker, paths, seen) for marker, paths in _places().items()]
    return sorted((entry for entry in found if entry.sizes), key=lambda entry: entry.used)


def _places() -> dict[Path, list[Path]]:
    """{marker: the paths of its entry that are there}"""
    places: dict[Path, list[Path]] = {}
    for part in (cache_folder() / name for name in PARTS):
        if part.is_dir() and not part.is_symlink():
            # The replies are one file, with a journal and a lock.
            for path in [part] if part.name == REPLIES else sorted(part.iterdir()):
                marker = _marker(path)
                assert marker is not None
                places.setdefault(marker, []).append(path)
    return places


def _entry(marker: Path, paths: list[Path], seen: set[tuple[int, int]]) -> Entry:
    in_use, made = _is_held(marker), []
    sizes = {}
    for path in paths:
        try:
            made.append(os.lstat(path).st_mtime)
        except FileNotFoundError:  # deleted or renamed meanwhile
            continue
        sizes[path] = _size(path, seen)
    try:
        used = os.stat(marker).st_mtime
    except FileNotFoundError:  # made before there were markers
        used = max(made, default=0.0)
    return Entry(marker, sizes, time.time() if in_use else used, in_use)


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    """Bytes on the disk of all that lies there; no link is followed, and what has several names is
    counted once. `seen`: what was counted already."""
    total = 0
    for place in _walk(path):
        try:
            facts = os.lstat(place)
        except FileNotFoundError:
            continue
        if (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            total += 512 * facts.st_blocks
    return total


def _whole_size() -> int:
    """Bytes of the whole cache; that the folder itself is a link is somebody's wish."""
    return _size(Path(os.path.realpath(cache_folder())), set())


def _walk(path: Path) -> Iterator[str]:
    yield str(path)
    for folder, folders, files in os.walk(path) if not path.is_symlink() else ():
        yield from (os.path.join(folder, name) for name in folders + files)


class PartFacts(TypedDict):
    """What there is of one part."""

    what: str
    bytes: int
    entries: int
    in_use: int


class Facts(TypedDict):
    """What there is, as plain data for machines."""

    folder: str
    bytes: int
    bound: int
    parts: dict[str, PartFacts]


def facts() -> Facts:
    """Sizes in bytes; `entries` of the teacher's replies is 1 or 0. Raises UsageError for a bound
    that means nothing."""
    most, known = bound(), entries()
    parts: dict[str, PartFacts] = {
        part: {"what": what, "bytes": 0, "entries": 0, "in_use": 0}
        for part, what in {**PARTS, OTHER: "what is half made, and everything else"}.items()
    }
    for entry in known:
        for path, size in entry.sizes.items():
            part = parts[entry.part_of(path)]
            part["bytes"] += size
            part["entries"] += 1
            part["in_use"] += entry.in_use
    total = _whole_size()
    parts[OTHER]["bytes"] += max(0, total - sum(part["bytes"] for part in parts.values()))
    return {"folder": str(cache_folder()), "bytes": total, "bound": int(most), "parts": parts}


def size_in_words(size: float) -> str:
    """As in 3.1 GiB, or 12.0 MiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / (1 << 20):.1f} MiB"


def lines(found: Facts) -> list[str]:
    """`facts` for people."""
    rows = [
        f"{part['what']:38}{part['entries']:7}{size_in_words(part['bytes']):>13}"
        + (f"   {part['in_use']} in use" if part["in_use"] else "")
        for part in found["parts"].values()
    ]
    return [
        found["folder"],
        *rows,
        f"{'all of it':45}{size_in_words(found['bytes']):>13}   of at most "
        f"{size_in_words(found['bound'])} ({BOUND_NAME}); what was paid for is never pruned",
    ]


def question(found: Facts, rest: bool, replies: bool) -> str:
    """What a person is asked before `empty`, by the `facts`."""
    parts = [
        part
        for name, part in found["parts"].items()
        if (replies if name == REPLIES else rest) and part["entries"]
    ]
    named = [
        f"{part['what']} ({part['entries']}): {size_in_words(part['bytes'])}" for part in parts
    ]
    warnings = (
        [
            "What is needed is made again; but a run that began with uncommitted changes which are "
            "no longer there cannot go on without its snapshot. "
        ]
        if rest
        else []
    )
    warnings += ["Replies that were paid for must then be paid for again. "] if replies else []
    return f"In {found['folder']}: {', '.join(named) or 'nothing'}. {''.join(warnings)}Delete that?"


def deleted_lines(done: "Deleted") -> list[str]:
    """What came of `empty`, for people."""
    left = [f"Left is {name}: {why}." for name, why in done.left.items()]
    return [f"Deleted: {done.in_words()}.", *left, ""]


# ----------------------------------------------------------------------------------- deleting


@dataclass
class Deleted:
    """What came of it."""

    gone: list[Entry]
    left: dict[str, str]
    """{name of an entry that was to go: why it is still there}"""
    size: int = 0
    """Bytes of the whole cache afterwards."""

    @property
    def freed(self) -> int:
        return sum(entry.size for entry in self.gone)

    @property
    def counts(self) -> dict[str, int]:
        """{part: how many went of it}"""
        return dict(Counter(entry.part_of(path) for entry in self.gone for path in entry.sizes))

    def in_words(self) -> str:
        """As in "snapshots of repositories (2), students made or unpacked here (1): 12.0 MiB"."""
        kinds = {**PARTS, OTHER: "what was half made"}
        named = [
            f"{what} ({self.counts[part]})" for part, what in kinds.items() if part in self.counts
        ]
        return f"{', '.join(named)}: {size_in_words(self.freed)}" if named else "nothing"

    def to_dict(self) -> dict:
        """Plain data for machines."""
        return {"deleted": {"bytes": self.freed, "parts": self.counts}, "left": self.left}


def make_room(say: Callable[[str], None]) -> None:
    """Prune, if this process has made an entry since it did so last; `say` is given one sentence
    of what went. Raises UsageError for a bound that means nothing."""
    most = bound()
    made = {path for path in _awaited if os.path.lexists(path)}
    if not made:
        return
    _awaited.difference_update(made)
    pruned = prune(most)
    aged = [entry for entry in pruned.gone if not entry.is_half_made]
    if not aged and pruned.size <= most:
        return
    went = (
        "" if not aged else (f", so what was not used for longest was deleted: {pruned.in_words()}")
    )
    stays = (
        ""
        if pruned.size <= most
        else (
            f"; {size_in_words(pruned.size)} stay, which are in use, were paid for, or are none of "
            "its finished entries"
        )
    )
    shut = [f"; {name}: {why}" for name, why in pruned.left.items() if why != IN_USE]
    say(
        f"The cache had outgrown its {size_in_words(most)}{went}{stays}{''.join(shut)}. "
        f"({BOUND_NAME}=N allows it N GiB.)"
    )


def prune(most: float) -> Deleted:
    """Delete what killed processes have left half made, and then, until the whole cache takes at
    most so many bytes, what was not used for longest."""
    done = Deleted([], {}, _whole_size())
    now = time.time()
    for entry in entries():
        torn = entry.is_half_made and entry.used < now - TORN_AFTER
        if torn or done.size > most and not entry.is_paid and not entry.is_half_made:
            _try_to_delete(entry, done)
    for path in cache_folder().glob(".*"):  # of a trial of the jail, or half deleted
        with suppress(FileNotFoundError):  # whose process has just deleted it
            if path.lstat().st_mtime < now - TORN_AFTER:
                _delete_aside(path)
    _drop_lone_markers()
    return done


def empty(rest: bool, replies: bool) -> Deleted:
    """Delete the teacher's replies, which were paid for, and the rest; or one of them."""
    done = Deleted([], {}, _whole_size())
    since = time.time() - MAKING
    for entry in entries():
        if entry.is_half_made and not entry.in_use and entry.used > since:
            done.left[entry.name] = "somebody may be making it at this moment"
        elif replies if entry.is_paid else rest:
            _try_to_delete(entry, done)
    _drop_lone_markers()
    return done


def _try_to_delete(entry: Entry, done: Deleted) -> None:
    if why := _delete(entry):
        done.left[entry.name] = why
    else:
        done.gone.append(entry)
        done.size -= entry.size


def _delete(entry: Entry) -> str:
    """Why it cannot be deleted; "" where it was."""
    try:
        lock = _locked(entry.marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return IN_USE
    except OSError as error:
        return f"it cannot be locked ({error.strerror})"
    asides = [path.with_name(f".gone-{os.getpid()}-{path.name}") for path in entry.sizes]
    try:
        # At once out of everybody's sight: whoever waits for the lock finds all of it, or nothing.
        for path, aside in zip(entry.sizes, asides):
            with suppress(FileNotFoundError):
                os.rename(path, aside)
        entry.marker.unlink()
    except OSError as error:
        return f"it cannot be deleted ({error.strerror})"
    finally:
        os.close(lock)
    for aside in asides:
        _delete_aside(aside)
    return "it cannot be deleted as a whole" if any(map(os.path.lexists, asides)) else ""


def _delete_aside(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _drop_lone_markers() -> None:
    """Delete the markers of entries that are no more, and that nobody is about to make."""
    for marker in {*(cache_folder() / MARKERS).glob("*/*")} - {*_places()}:
        _delete(Entry(marker, {}, 0.0, False))
