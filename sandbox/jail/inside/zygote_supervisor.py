"""The zygote's side of one child: it reads what the child reports, passes on progress and
questions, and ends the wait where the child takes too long or too much. Standard library only,
Python >= 3.9.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable
from typing import Any

import kept
from zygote_frames import first_frame, nesting, read_frame, write_frame, write_frame_until
from zygote_limits import Watchdog

json, os, select = map(kept.module, (json, os, select))
MAX_NESTING = 200
"""Brackets in brackets in what a child reports: plain data needs fewer, and to decode many more
breaks whoever tries."""
DIED = {"died": "the test process ended without a usable report"}


class Supervisor:
    """Waits for the report of one child, which is never trusted."""

    def __init__(
        self,
        head: dict[str, Any],
        pipes: tuple[int, int],
        client: tuple[int, int],
        started: Callable[[], list[int]],
    ) -> None:
        """`head`: the request, as far as it is for the zygote; `pipes`: descriptors of the child's
        reports and of the answers to its questions; `client`: those of the requests and replies of
        whoever made the request; `started` lists the child's processes."""
        self.head = head
        self.reports, self.answers = pipes
        self.requests, self.replies = client
        self.deadline = kept.seconds() + head["timeout"]
        self.watchdog = Watchdog(head["memory_mb"], started)
        self.entered = False
        """Whether the jail is ready, so that from here on a failure is the tests' own."""
        self.no_more_calls = False
        """Whether the child was told so: another question is none."""

    def reply(self) -> dict[str, Any]:
        """{"report": what the child reported}, or "died", "timeout" or "harness" with the
        reason."""
        buffer = b""
        while True:
            if kept.seconds() >= self.deadline:
                late = {"harness": "the jail took too long to start"}
                return {"timeout": True} if self.entered else late
            if kept.seconds() >= self.watchdog.next:
                fault = self.watchdog.fault(self.deadline)
                if fault:
                    return {"died": fault}
            left = max(0.0, min(self.deadline, self.watchdog.next) - kept.seconds())
            if not select.select([self.reports], [], [], left)[0]:
                continue
            piece = os.read(self.reports, 1 << 16)
            if not piece:
                early = {"harness": "the jail's first process ended early"}
                return DIED.copy() if self.entered else early
            data, buffer = first_frame(buffer + piece)
            while data is not None:
                reply = self._take(data)
                if reply is not None:
                    return reply
                data, buffer = first_frame(buffer)
            if len(buffer) > self.head["report_mb"] << 20:
                return DIED.copy()

    def _take(self, data: bytes) -> dict[str, Any] | None:
        """What one frame of the child makes the reply; None where there are to be others."""
        try:
            frame = None if nesting(data) > MAX_NESTING else json.loads(data)
        except (ValueError, RecursionError):
            return DIED.copy()
        if not isinstance(frame, dict):
            return DIED.copy()
        if not self.entered:
            if "entered" not in frame:
                none = "no report from the jail's first process"
                return {"harness": str(frame.get("harness", none))}
            self.entered = True
        elif self.head["progress"] and "progress" in frame:
            write_frame(self.replies, {"progress": frame["progress"]})
        elif self.head["asks"] and "ask" in frame:
            return self._pass_on(frame["ask"])
        else:
            return {"report": frame}
        return None

    def _pass_on(self, question: Any) -> dict[str, Any] | None:
        """Put the child's question to whoever made the request, and give it the answer."""
        write_frame(self.replies, {"ask": question})
        message = read_frame(self.requests)
        if message is None:
            os._exit(0)
        if self.no_more_calls or not write_frame_until(self.answers, message, self.deadline):
            return DIED.copy()
        self.no_more_calls = message["answer"] is None
        return None
