"""Frames between coldstart and the first process in a jail: four bytes of length, then JSON.

Whatever comes out of a jail is untrusted: it is bounded in length and in time, and taken only where
it is a JSON object.
"""

import json
import os
import select
import struct
import subprocess
import time
from contextlib import suppress
from typing import IO

from sandbox.errors import HarnessError

REPLY_LIMIT = 80 << 20
"""Longest frame that is read, bytes."""
DIAGNOSTICS_LIMIT = 2000
"""Bytes of its diagnostics that an error message quotes."""


class Connection:
    """The pipes of one process. Every failure is a HarnessError."""

    def __init__(self, process: subprocess.Popen[bytes], diagnostics: IO[bytes]) -> None:
        """`process`: with pipes for its standard input and output; `diagnostics`: the file that
        holds its standard error."""
        assert process.stdin is not None and process.stdout is not None
        self._process, self._diagnostics = process, diagnostics
        self._input, self._output = process.stdin, process.stdout

    def send(self, message: dict, body: bytes = b"") -> None:
        """One frame, and bytes that follow it."""
        frame = json.dumps(message).encode()
        try:
            self._input.write(struct.pack(">I", len(frame)) + frame + body)
            self._input.flush()
        except BrokenPipeError:
            raise HarnessError(f"The jail ended early: {self._last_words()}") from None

    def receive(self, deadline: float) -> dict:
        """The next frame; `deadline` by the monotonic clock."""
        size = struct.unpack(">I", self._read(4, deadline))[0]
        if size > REPLY_LIMIT:
            raise HarnessError("The jail sent a report that is too long.")
        try:
            message = json.loads(self._read(size, deadline))
        except (ValueError, RecursionError):
            raise HarnessError("The jail sent a report that is not JSON.") from None
        if not isinstance(message, dict):
            raise HarnessError("The jail sent a report of an unknown form.")
        return message

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        for stream in (self._input, self._output):
            with suppress(BrokenPipeError):
                stream.close()

    def _read(self, size: int, deadline: float) -> bytes:
        fd, data = self._output.fileno(), b""
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise HarnessError("The jail did not answer in time.")
            piece = os.read(fd, min(size - len(data), 1 << 20))
            if not piece:
                raise HarnessError(f"The jail ended early: {self._last_words()}")
            data += piece
        return data

    def _last_words(self) -> str:
        # A process that has closed its pipe and lives on may write more; what is there will do.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._diagnostics.seek(0, os.SEEK_END)
        self._diagnostics.seek(max(0, self._diagnostics.tell() - DIAGNOSTICS_LIMIT))
        return self._diagnostics.read().decode("utf-8", "replace").strip() or "it said nothing."
