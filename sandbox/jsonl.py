"""Files of one JSON object a line, appended whole; a line torn by a crash is dropped when the file
is read or opened again. Several processes may append to one file. And `sync`, for whatever must be
on the disk before going on; and `valid`, for whatever leaves this program."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any


def dumps(record: dict) -> str:
    """One line, without its end; the same record always gives the same bytes."""
    return json.dumps(record, ensure_ascii=True, separators=(", ", ": "))


def valid(value: Any) -> Any:
    """Text, or plain data with text in it, without halves of surrogate pairs: they stand for bytes
    that did not decode (`source.py`), and no tokenizer, no endpoint, no database and no other
    reader of JSON takes them. Each becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {valid(key): valid(item) for key, item in value.items()}
    return [valid(item) for item in value] if isinstance(value, (list, tuple)) else value


def read(path: Path) -> list[dict]:
    """The whole lines of the file; [] where there is none. Raises ValueError naming the line that
    is not JSON."""
    return list(_whole_lines(path))


def append(path: Path, records: Iterable[dict]) -> None:
    """Add the records in one write and flush it to the disk, after dropping what a crash tore at
    the end."""
    data = "".join(dumps(r) + "\n" for r in records).encode()
    with open(path, "ab+") as file:
        # Else the half of a line that another process is writing would be dropped as torn.
        fcntl.flock(file, fcntl.LOCK_EX)
        _drop_torn_end(file)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def rewrite(path: Path, records: Iterable[dict]) -> None:
    """Replace the file as a whole."""
    write_aside(path, "".join(dumps(r) + "\n" for r in records).encode())


def write_aside(path: Path, data: bytes) -> None:
    """Write `data` next to `path` and rename: the file is the old or the new one, never half of
    it."""
    aside = path.with_name(f".{path.name}.new")
    with open(aside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def sync(path: Path) -> None:
    """Ask the system to have `path` on the disk before going on, so that a power cut leaves no
    empty files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _whole_lines(path: Path) -> Iterator[dict]:
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
        except ValueError:
            raise ValueError(f"line {number} of {path} is not JSON") from None
        if not isinstance(record, dict):
            raise ValueError(f"line {number} of {path} is no record")
        yield record


def _drop_torn_end(file: IO[bytes]) -> None:
    """Cut off what stands behind the last line end."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)
