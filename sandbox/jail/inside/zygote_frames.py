"""Frames on pipes: four bytes of length, then JSON. Standard library only, Python >= 3.9."""

from __future__ import annotations

import json
import os
import re
import select
import struct
from typing import Any

import kept

json, os, select, struct = map(kept.module, (json, os, select, struct))


def read_exactly(fd: int, size: int) -> bytes | None:
    """So many bytes, or None at the end of the stream."""
    data = b""
    while len(data) < size:
        piece = os.read(fd, size - len(data))
        if not piece:
            return None
        data += piece
    return data


def read_frame(fd: int) -> Any:
    """The next object, or None at the end of the stream."""
    head = read_exactly(fd, 4)
    if head is None:
        return None
    body = read_exactly(fd, struct.unpack(">I", head)[0])
    return None if body is None else json.loads(body)


def read_body(fd: int, size: int) -> bytearray | None:
    """`size` bytes in memory that can be wiped, or None at the end of the stream."""
    body, at = bytearray(size), 0
    with memoryview(body) as view:
        while at < size:
            got = os.readv(fd, [view[at:]])
            if not got:
                return None
            at += got
    return body


def wipe(body: bytearray) -> None:
    """Leave nothing of these bytes in memory."""
    body[:] = bytes(len(body))


def write_frame(fd: int, message: Any) -> None:
    data = framed(message)
    while data:
        data = data[os.write(fd, data) :]


def write_frame_until(fd: int, message: Any, deadline: float) -> bool:
    """Write a frame to a child that may not read it. Whether it did until the deadline."""
    data = framed(message)
    os.set_blocking(fd, False)
    while data:
        left = deadline - kept.seconds()
        if left <= 0 or not select.select([], [fd], [], left)[1]:
            return False
        try:
            data = data[os.write(fd, data) :]
        except BrokenPipeError:
            return False
    return True


def framed(message: Any) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def first_frame(buffer: bytes) -> tuple[bytes | None, bytes]:
    """(the JSON of the first frame in there, or None where it is not whole yet; what follows)"""
    if len(buffer) < 4:
        return None, buffer
    end = 4 + struct.unpack(">I", buffer[:4])[0]
    return (None, buffer) if len(buffer) < end else (buffer[4:end], buffer[end:])


def nesting(data: bytes) -> int:
    """How deep the brackets of this JSON are nested."""
    depth = deepest = 0
    # A text without an end matches to the end of the data: else it would be tried again from every
    # quote in it.
    for bracket in re.findall(
        rb'[\[{\]}]', re.sub(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', b"", data, flags=re.DOTALL)
    ):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
