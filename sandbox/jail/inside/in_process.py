"""The in-process tier: a process that has collected the tests already, and swaps functions' code in
a fork of itself.

Standard library and pytest, Python >= 3.9. It runs on the intact tree, with only the user's own
code in it. A request names the functions (the edited one; for twins, tests too) and both sources of
each; the fork swaps `__code__` in every function object that has the intact code, and runs the
tests.

That equals a fresh run only under these conditions, each of which is checked (the ones about the
text outside, by `screen.py`): a change stays inside the body of one function (signature,
decorators, docstring unchanged); the function did not run while the tests were imported and
collected; nothing but pytest rewrote its code; the new code has the same free variables.
"""

import __future__

import ast
import gc
import os
import signal
import sys
import threading
import types

import calls
import kept
import plain
import runner
from _pytest.assertion.rewrite import rewrite_asserts

os, signal = kept.module(os), kept.module(signal)
MAX_TESTS = 50_000
"""Each takes 3 KB of memory, and a fifth of a millisecond when the process starts."""
GOLD_SECONDS = 1.0
"""An input that takes the right code longer than this decides nothing."""
FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag


class Server:
    """pytest plugin: where pytest would run the collected tests, answer requests instead."""

    def __init__(self, root, environments, recorder, loop):
        """`environments`: folders below the root that hold installed packages.
        `loop(ready, answer)` sends `ready` and calls `answer(request)` in a fork for each request,
        until there are no more."""
        self.root, self.prefix = root, root.rstrip("/") + "/"
        self.in_tree = runner.tree_test(root, environments)
        self.recorder, self.loop = recorder, loop
        self.early = set()

    # ---- which functions run while the tests are imported and collected

    def watch(self):
        sys.setprofile(self._note)

    def _note(self, frame, event, arg):
        if event == "call" and self.in_tree(frame.f_code.co_filename):
            code = frame.f_code
            self.early.add(
                (code.co_filename[len(self.prefix) :], code.co_firstlineno, code.co_name)
            )

    def pytest_runtestloop(self, session):
        sys.setprofile(None)
        # The fault handler would keep this process's diagnostics open in the forks. (It is not left
        # out from the start, because a project may have settings for it, and pytest may be told to
        # refuse settings that it does not know.)
        plugins = session.config.pluginmanager
        for name in ("faulthandler", "faulthandler-hooks"):  # the second in pytest 6
            if (handler := plugins.get_plugin(name)) is not None and hasattr(
                handler, "pytest_unconfigure"
            ):
                handler.pytest_unconfigure(session.config)
                plugins.unregister(handler)
        if len(session.items) > MAX_TESTS:
            sys.exit("%d tests are too many to keep" % len(session.items))
        self.session = session
        self.items = {}
        for position, item in enumerate(session.items):
            self.items.setdefault(item.nodeid, []).append((position, item))
        self.functions = self._index()
        gc.collect()
        gc.freeze()
        self.loop(
            {
                "ready": True,
                "tests": len(session.items),
                "functions": len(self.functions),
                "threads": threading.active_count(),
                "path": sys.path,
            },
            self.answer,
        )
        return True

    pytest_runtestloop.tryfirst = True

    def _index(self):
        """{(file, first line, name): function objects} of the tree."""
        found = {}
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType and self.in_tree(thing.__code__.co_filename):
                code = thing.__code__
                found.setdefault(
                    (code.co_filename[len(self.prefix) :], code.co_firstlineno, code.co_name), []
                ).append(thing)
        return found

    # ---- one request, in a fork

    def answer(self, request, ask):
        """The runner's reply, or {"unsupported": reason} where only a fresh process can do this. The
        request holds one of

        - "function_patches": changed functions, as `_swap` takes each;
        - "record": a function; the reply's "calls" are the calls that the tests make to it, if they
          are plain data;
        - "stub": a function; every call to it is put as a question, and answered by somebody else's
          code;
        - "gold": a function and "calls"; the reply's "answers" are what it says to them. No test
          runs.
        - "parameters": the reply's "parameters" are those of the named tests, where they are plain
          data. No test runs.

        With "given" ({test: {name: value}}) these tests run with other parameters than their own;
        "function_patches" beside "stub" change the tests.
        """
        os.chdir(self.root)  # the fork's own view of the tree lies over the one it was in
        if "parameters" in request:
            return {"outcomes": {}, "parameters": self._parameters(request["ids"])}
        for test, values in request.pop("given", {}).items():
            for _, item in self.items.get(test, ()):
                item.callspec.params.update((k, plain.decode(v)) for k, v in values.items())
        if "function_patches" in request:
            reason = self._swap_all(request.pop("function_patches"))
            if reason or "stub" not in request:
                return {"unsupported": reason} if reason else self._run(request)
        name = next(kind for kind in ("record", "stub", "gold") if kind in request)
        functions = self.functions.get(tuple(request[name]), ())
        if len(functions) != 1 or functions[0].__code__.co_freevars:
            return {"unsupported": "the function is not one plain function"}
        if name == "gold":
            return {
                "outcomes": {},
                "answers": [in_time(functions[0], call) for call in request["calls"]],
            }
        if name == "stub":
            calls.replace(functions[0], calls.Stub(ask))
            return self._run(request)
        recorder = calls.Recorder(calls.replace(functions[0], None))
        calls.replace(functions[0], recorder)
        reply = self._run(request)
        return (
            {"unsupported": recorder.trouble}
            if recorder.trouble
            else dict(reply, calls=recorder.calls)
        )

    def _parameters(self, tests):
        found = {}
        for test in tests:
            for _, item in self.items.get(test, ()):
                values = getattr(getattr(item, "callspec", None), "params", {})
                try:
                    found[test] = {name: plain.encode(value) for name, value in values.items()}
                except plain.NotPlain:
                    pass
        return {test: values for test, values in found.items() if values}

    def _run(self, request):
        found = [
            self.items[node][0] for node in request["ids"] if len(self.items.get(node, ())) == 1
        ]
        if len(found) != len(request["ids"]):
            return {"unsupported": "a named test was not collected exactly once"}
        items = [item for _, item in sorted(found, key=lambda pair: pair[0])]
        for item, following in zip(items, items[1:] + [None]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return self.recorder.reply()

    def _swap_all(self, swaps):
        return next(filter(None, map(self._swap, swaps)), None)

    def _swap(self, swap):
        """Put the new code in place; a reason in words where that would not equal a fresh run."""
        key = (swap["file"], swap["line"], swap["chain"][-1])
        functions = self.functions.get(key)
        if not functions:
            return "the function is not loaded"
        if key in self.early:
            return "the function runs while the tests are collected"
        original = functions[0].__code__
        path, flags = original.co_filename, original.co_flags & FUTURE_FLAGS
        try:
            # pytest rewrites the assertions of test modules: a function that was rewritten is
            # compiled in the same way.
            asserts = self.session.config if "@pytest_ar" in functions[0].__globals__ else None
            intact = compiled(
                path, swap["chain"], swap["old"], swap["line"], flags, swap["imports"], asserts
            )
            new = compiled(
                path, swap["chain"], swap["new"], swap["line"], flags, swap["imports"], asserts
            )
        except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError) as error:
            return "its code cannot be compiled alone: %s" % type(error).__name__
        if any(not same_code(f.__code__, intact) for f in functions):
            return "something has rewritten the function's code"
        if new.co_freevars != original.co_freevars:
            return "the new code has other free variables"
        for function in functions:
            function.__code__ = new
        return None


class TooSlow(BaseException):
    """Raised in a call that takes too long."""


def in_time(function, call):
    """The right code's answer to a call, as `calls.called` gives it, if it comes within
    GOLD_SECONDS."""

    def too_slow(signum, frame):
        raise TooSlow

    signal.signal(signal.SIGALRM, too_slow)
    try:
        signal.setitimer(signal.ITIMER_REAL, GOLD_SECONDS)
        return calls.called(function, call)
    except TooSlow:
        return {"not plain": "it took more than %g seconds" % GOLD_SECONDS}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def compiled(path, chain, source, line, flags, imports="", asserts=None):
    """The code object of one function, compiled alone inside empty classes of the right names
    (private names depend on them), after its module's `imports` (Python compiles a call through an
    imported name differently); where a pytest configuration is given, its assertions rewritten as
    pytest does it.

    Raises SyntaxError, ValueError or LookupError.
    """
    indented = source[:1] in (" ", "\t")
    module = ast.parse("if 1:\n" + source if indented else source)
    function = module.body[0].body[0] if indented else module.body[0]
    first = min([function.lineno] + [d.lineno for d in function.decorator_list])
    ast.increment_lineno(function, line - first)
    function.decorator_list = []
    node = function
    for name in reversed(chain[:-1]):
        node = ast.copy_location(
            ast.ClassDef(
                name=name, bases=[], keywords=[], body=[node], decorator_list=[], type_params=[]
            ),
            function,
        )
    module = ast.Module(body=[*ast.parse(imports).body, node], type_ignores=[])
    if asserts is not None:
        # pytest wants the text as well, for its messages: the function's own, on its own lines.
        rewrite_asserts(
            module, b"\n" * (line - 1) + source.encode("utf-8", "surrogateescape"), path, asserts
        )
    code = compile(module, path, "exec", flags=flags, dont_inherit=True)
    for name in chain:
        code = next(
            c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == name
        )
    return code


def same_code(a, b):
    """Equal in all that decides what the code does; lines may differ."""
    names = (
        "co_code",
        "co_freevars",
        "co_cellvars",
        "co_names",
        "co_varnames",
        "co_flags",
        "co_argcount",
        "co_kwonlyargcount",
        "co_posonlyargcount",
    )
    if any(getattr(a, n) != getattr(b, n) for n in names) or len(a.co_consts) != len(b.co_consts):
        return False
    return all(
        same_code(x, y)
        if isinstance(x, types.CodeType) and isinstance(y, types.CodeType)
        else type(x) is type(y) and repr(x) == repr(y)
        for x, y in zip(a.co_consts, b.co_consts)
    )


def serve(config, loop):
    """Collect the tests of `config["files"]` and answer requests from then on."""
    import pytest

    recorder = runner.Recorder(False, lambda done, total: None)
    environments = runner.environments_in(config)
    server = Server(config["root"], environments, recorder, loop)
    runner.enter_tree(config["root"], config["path"])
    server.watch()
    # Without capturing: the forks would share the offset of one temporary file.
    pytest.main(
        runner.neutral_arguments() + ["-q", "--tb=no", "-s", "--continue-on-collection-errors"],
        plugins=[recorder, server, runner.NoText(), runner.Settings(config["files"], environments)],
    )
