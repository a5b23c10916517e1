"""The in-process tier: a process that has collected the tests already, and puts other code into
functions in a fork of itself.

Standard library and pytest, Python >= 3.9. It runs on the intact tree, with only the user's own
code in it. A request names the functions (the edited one; for twins, tests too) and both sources of
each; the fork changes them (`function_patches.py`), and runs the tests.

That equals a fresh run only under these conditions, each of which is checked (the ones about the
text outside, by `screening.py`): a change stays inside the body of one function (signature,
decorators, docstring unchanged); the function did not run while the tests were imported and
collected; nothing but pytest rewrote its code; the new code has the same free variables.
"""

from __future__ import annotations

import gc
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import calls
import kept
import pytest
import runner
import values
from function_patches import Functions

os, signal = kept.module(os), kept.module(signal)
MAX_TESTS = 50_000
"""Each takes 3 KB of memory, and a fifth of a millisecond when the process starts."""
COROUTINE = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
GOLD_SECONDS = 1.0
"""An input that takes the right code longer than this decides nothing."""


class Server:
    """pytest plugin: where pytest would run the collected tests, answer requests instead."""

    def __init__(
        self,
        root: str,
        functions: Functions,
        recorder: runner.Recorder,
        answer_requests: Callable[..., None],
    ) -> None:
        """`answer_requests(ready, answer)` sends `ready` and calls `answer(request, ask)` in a fork
        for each request, until there are no more."""
        self.root, self.functions, self.recorder = root, functions, recorder
        self.answer_requests = answer_requests
        self.items: dict[str, list[tuple[int, Any]]] = {}
        """{node id: (position, item)}"""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        self.functions.stop_watching()
        _drop_fault_handler(session.config.pluginmanager, session.config)
        if len(session.items) > MAX_TESTS:
            sys.exit("%d tests are too many to keep" % len(session.items))
        for position, item in enumerate(session.items):
            self.items.setdefault(item.nodeid, []).append((position, item))
        self.functions.index(session.config)
        gc.collect()
        gc.freeze()
        self.answer_requests(
            {
                "ready": True,
                "tests": len(session.items),
                "functions": len(self.functions.by_place),
                "threads": threading.active_count(),
                "path": sys.path,
            },
            self.answer,
        )
        return True

    # ---- one request, in a fork

    def answer(self, request: dict[str, Any], ask: Callable[[Any], Any]) -> dict[str, Any]:
        """The runner's reply, or {"unsupported": reason} where only a fresh process can do this.
        The request holds one of

        - "function_patches": changed functions, as `Functions.patch` takes each;
        - "stub": a function; every call to it is put as a question, and answered by somebody else's
          code (`calls.Stub`); the reply's "trouble" says why that could not go on;
        - "gold": a function and "calls"; the reply's "answers" are what it gives to them. No test
          runs.
        - "parameters": the reply's "parameters" are those of the named tests, where they are plain
          data. No test runs.

        With "given" ({test: {name: value}}) these tests run with other parameters than their own;
        "function_patches" beside "stub" change the tests.
        """
        os.chdir(self.root)  # the fork's own view of the tree lies over the one it was in
        if "parameters" in request:
            return {"outcomes": {}, "parameters": self._parameters(request["ids"])}
        for test, given in request.pop("given", {}).items():
            for _, item in self.items.get(test, ()):
                item.callspec.params.update((k, values.load(v)) for k, v in given.items())
        if "function_patches" in request:
            reason = self.functions.patch_all(request.pop("function_patches"))
            if reason:
                return {"unsupported": reason}
            if "stub" not in request:
                return self._run(request)
        return self._with_one_function(request, ask)

    def _with_one_function(
        self, request: dict[str, Any], ask: Callable[[Any], Any]
    ) -> dict[str, Any]:
        kind = next(kind for kind in ("stub", "gold") if kind in request)
        functions = self.functions.by_place.get(tuple(request[kind]), ())
        if len(functions) != 1:
            return {"unsupported": "the function is not one plain function"}
        function = functions[0]
        if function.__code__.co_flags & COROUTINE:
            return {"unsupported": "the function is a coroutine"}
        if kind == "gold":
            alone = calls.Alone(function, request)
            answers = [in_time(alone, call) for call in request["calls"]]
            return {"outcomes": {}, "answers": answers}
        hidden = tuple(os.path.join(self.root, path) for path in request["hidden"])
        stub = calls.Stub(ask, function, lambda file: is_below(file, hidden), request)
        calls.replace(function, stub)
        return {**self._run(request), "trouble": stub.trouble, "changed": stub.changed}

    def _parameters(self, tests: list[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for test in tests:
            for _, item in self.items.get(test, ()):
                own = getattr(getattr(item, "callspec", None), "params", {})
                try:
                    found[test] = {name: values.dump(value) for name, value in own.items()}
                except values.NotPlain:
                    pass
        return {test: own for test, own in found.items() if own}

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        found = [
            self.items[node][0] for node in request["ids"] if len(self.items.get(node, ())) == 1
        ]
        if len(found) != len(request["ids"]):
            return {"unsupported": "a named test was not collected exactly once"}
        items = [item for _, item in sorted(found, key=lambda pair: pair[0])]
        for item, following in zip(items, items[1:] + [None]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        reply: dict[str, Any] = self.recorder.reply()
        return reply


def _drop_fault_handler(plugins: Any, config: Any) -> None:
    """The fault handler would keep this process's diagnostics open in the forks. (It is not left
    out from the start, because a project may have settings for it, and pytest may be told to refuse
    settings that it does not know.)"""
    for name in ("faulthandler", "faulthandler-hooks"):  # the second in pytest 6
        handler = plugins.get_plugin(name)
        if handler is not None and hasattr(handler, "pytest_unconfigure"):
            handler.pytest_unconfigure(config)
            plugins.unregister(handler)


class TooSlow(BaseException):
    """Raised in a call that takes too long."""


def is_below(file: str, paths: tuple[str, ...]) -> bool:
    """Whether it is one of the paths, or in a folder among them."""
    return any(file == path or file.startswith(path + "/") for path in paths)


def in_time(alone: calls.Alone, call: dict[str, Any]) -> dict[str, Any]:
    """The right code's answer to a call, if it comes within GOLD_SECONDS."""

    def too_slow(signum: int, frame: Any) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, too_slow)
    try:
        signal.setitimer(signal.ITIMER_REAL, GOLD_SECONDS)
        return alone.answer(call)
    except TooSlow:
        return {"refused": "it took more than %g seconds" % GOLD_SECONDS}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def serve(config: dict[str, Any], answer_requests: Callable[..., None]) -> None:
    """Collect the tests of `config["files"]` and answer requests from then on, as `Server` says."""
    recorder = runner.Recorder(False, lambda done, total: None)
    environments = runner.environments_in(config)
    functions = Functions(config["root"], environments)
    server = Server(config["root"], functions, recorder, answer_requests)
    runner.enter_tree(config["root"], config["path"])
    functions.watch()
    # Without capturing: the forks would share the offset of one temporary file.
    pytest.main(
        runner.neutral_arguments() + ["-q", "--tb=no", "-s", "--continue-on-collection-errors"],
        plugins=[recorder, server, runner.NoText(), runner.Settings(config["files"], environments)],
    )
