"""One pytest run inside the jail: run the named tests, say what became of each. Standard library
and pytest, Python >= 3.9.

    run({"ids": [...], "args": [...], "root": "/home/u/project", "path": [...]}, progress) -> reply

Also in the request: "trace" (the project's files, relative to the root: what `suite.py` says of
them), "seen" ({"files": the project's, "functions": as `seen_calls.py` takes them}) and
"environments" (folders below the root that hold installed packages: they are no part of the tree).

A test is `passed` only if it was named, collected, ran and passed exactly once, set-up and clean-up
included. The other outcomes are `failed`, `error` (set-up or clean-up), `skipped`, `xfailed`,
`xpassed` and, for what was named and never reported, `missing`.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kept
import pytest
import seen_calls
import suite

TEXT_LIMIT = 4000
Progress = Callable[[int, int], None]
"""Hears of (tests done, tests in all)."""


class Recorder:
    """pytest plugin: the outcome, time and (where wanted) failure text of every test.

    The time is taken here, for pytest's own durations come from clocks that a test may stop."""

    def __init__(self, want_text: bool, progress: Progress) -> None:
        self.outcomes: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.text: dict[str, str] = {}
        self.collect_errors: list[str] = []
        self.want_text, self.progress = want_text, progress
        self.total = self.done = 0

    def pytest_collection_finish(self, session: Any) -> None:
        self.total = len(session.items)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.collect_errors.append(str(report.longrepr)[-TEXT_LIMIT:])

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        began = kept.seconds()
        yield
        taken = kept.seconds() - began
        self.seconds[item.nodeid] = self.seconds.get(item.nodeid, 0.0) + taken

    def pytest_runtest_logreport(self, report: Any) -> None:
        node = report.nodeid
        outcome = self._outcome(report)
        before = self.outcomes.get(node)
        if outcome and (before in (None, "passed") or outcome in ("failed", "error")):
            # The same test passing twice (two items of one id) is no clean pass: it cannot be told
            # which one was meant.
            self.outcomes[node] = "error" if before == outcome == "passed" else outcome
        if report.failed and self.want_text and node not in self.text:
            self.text[node] = str(report.longrepr)[-TEXT_LIMIT:]
        if report.when == "teardown":
            self.done += 1
            self.progress(self.done, self.total)

    def reply(self) -> dict[str, Any]:
        """What was recorded, as part of the runner's reply."""
        return {
            "outcomes": self.outcomes,
            "times": {node: round(seconds, 4) for node, seconds in self.seconds.items()},
            "text": self.text,
            "collect_errors": self.collect_errors[:5],
        }

    @staticmethod
    def _outcome(report: Any) -> str | None:
        if getattr(report, "context", None) is not None:  # a subtest: it only counts when it fails
            return "failed" if report.failed else None
        if hasattr(report, "wasxfail"):
            return "xfailed" if report.skipped else "xpassed"
        if report.when == "call":
            outcome: str = report.outcome
            return outcome
        if report.failed:
            return "error"
        return "skipped" if report.skipped else None


class NoText:
    """pytest plugin: nothing is put together of what pytest would say of a failure. It would take
    longer than many a test; and it runs the edit's code once more (`__repr__`), so that tiers which
    differ in it could differ in the outcome."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: Any) -> None:
        item.repr_failure = self._no_text

    @staticmethod
    def _no_text(excinfo: Any, style: Any = None) -> str:
        return ""


class Settings:
    """pytest plugin: keeps a project's own settings and puts back only what would move, stop,
    reorder or slow the run; and collects `names` alone (node ids or files; none: the whole suite).

    The names are no arguments of pytest, which would look for its settings in their folders first:
    it could find others than for the whole suite, and call the tests by other ids. Nor is pytest
    asked for node ids: it refuses them all where it cannot find one, or cannot take one apart. It
    collects their files, of which the tests that are named are kept.
    """

    PUT_BACK: dict[str, Any] = {
        "maxfail": 0,
        "stepwise": False,
        "stepwise_skip": False,
        "lf": False,
        "failedfirst": False,
        "newfirst": False,
        "numprocesses": 0,
        "dist": "no",
        "tx": [],  # xdist
        "reruns": 0,
        "force_reruns": None,  # rerunfailures
        "randomly_reorganize": False,
        "randomly_seed": 0,  # randomly
        "random_order_enabled": False,
        "random_order_bucket": "default:module",
        "random_order_seed": "default:0",
        "forked": False,
    }

    def __init__(self, names: list[str], environments: Iterable[str] = ()) -> None:
        self.names, self.environments = names, environments

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: Any) -> None:
        for name, value in self.PUT_BACK.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        if self.names:
            files = list(dict.fromkeys(name.partition("::")[0] for name in self.names))
            config.args = arguments_for([file for file in files if os.path.exists(file)]) or files
        # Installed packages bring tests, too, and not every pytest knows every kind of environment.
        config.option.ignore = [*(config.option.ignore or []), *self.environments]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        self._keep_named(items)
        self._tame_property_tests(items)

    def _keep_named(self, items: list[Any]) -> None:
        named = set(self.names)
        if named:
            items[:] = [
                item
                for item in items
                if item.nodeid in named or item.nodeid.partition("::")[0] in named
            ]

    @staticmethod
    def _tame_property_tests(items: list[Any]) -> None:
        """Property tests draw the same examples every time, fail without looking for the smallest
        one, and are not failed for being slow: traced, or on a busy machine, they are."""
        if "hypothesis" not in sys.modules:
            return
        slow = sys.modules["hypothesis"].HealthCheck.too_slow
        for item in items:
            held = getattr(item, "obj", None)
            test: Any = getattr(held, "__func__", held)
            chosen = getattr(test, "__dict__", {}).get("_hypothesis_internal_use_settings")
            if chosen is not None:
                test._hypothesis_internal_use_settings = type(chosen)(
                    chosen,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=[*chosen.suppress_health_check, slow],
                    phases=[
                        phase for phase in chosen.phases if phase.name not in ("shrink", "explain")
                    ],
                )


def arguments_for(files: list[str]) -> list[str]:
    """What pytest is given to collect these files. A bracket would begin parameters to it: where
    there is one in the path, it gets the folder above, and nothing else of what lies in there."""
    found: list[str] = []
    for file in files:
        found.append((os.path.dirname(file.partition("[")[0]) or ".") if "[" in file else file)
    folders = tuple(folder + "/" for folder in found if os.path.isdir(folder))
    if "./" in folders:
        return ["."]
    return [file for file in dict.fromkeys(found) if not file.startswith(folders)]


def neutral_arguments() -> list[str]:
    """Arguments for what has to be decided before pytest is configured."""
    # A forked process has loaded the plugins before pytest could rewrite their assertions, and a
    # project may turn warnings to errors.
    arguments = [
        "-p",
        "no:sugar",
        "-W",
        "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning",
    ]
    return arguments + (["--no-cov"] if importlib.util.find_spec("pytest_cov") else [])


def run(request: dict[str, Any], progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Run `request["ids"]` (empty: the whole suite) and return {"exit", "outcomes", "times",
    "text", ...}."""
    enter_tree(request["root"], request["path"])
    recorder = Recorder(request.get("text", False), progress)
    environments = request.get("environments", ())
    plugins: list[object] = [recorder, Settings(request["ids"], environments)]
    if "trace" in request:
        places = suite.Places(request["root"], request["trace"])
        loading = suite.Loading(places)
        tracer, files = suite.Tracer(places), suite.Files(places)
        plugins += [loading, tracer, files]
    seen = None
    if "seen" in request:
        places = suite.Places(request["root"], request["seen"]["files"])
        seen = seen_calls.SeenCalls(places, request["seen"]["functions"])
        plugins.append(seen)
    style = "--tb=short"
    if not (request.get("text") or request.get("output")):
        style = "--tb=no"
        plugins.append(NoText())
    code = pytest.main(
        neutral_arguments() + ["-q", style] + request.get("args", []), plugins=plugins
    )
    reply = {"exit": int(code), **recorder.reply()}
    if "trace" in request:
        reply.update(tracer.report(), files=files.report(), **loading.report())
    if seen is not None:
        reply.update(seen.report())
    if request.get("modules"):
        in_tree = tree_test(request["root"], environments)
        reply["modules"] = outside_modules(in_tree)
        reply["bytecode"] = rewritten_bytecode(request["root"], in_tree)
    return reply


def enter_tree(root: str, path: list[str]) -> None:
    """Stand in the tree with its own import path, as `python -m pytest` would."""
    kept.out_of_the_way(root, path)
    os.chdir(root)
    sys.path[:] = path
    importlib.invalidate_caches()


def environments_in(config: dict[str, Any]) -> list[str]:
    """Those folders of the jail's configuration that lie below the root and hold installed
    packages."""
    prefix = config["root"].rstrip("/") + "/"
    return [folder for _, folder in config["late_binds"] if folder.startswith(prefix)]


def tree_test(root: str, environments: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether a file lies in the tree. The environments lie in its folder and
    are no part of it."""
    prefix, others = root.rstrip("/") + "/", tuple(e.rstrip("/") + "/" for e in environments)

    @functools.lru_cache(None)
    def in_tree(file: str) -> bool:
        return file.startswith(prefix) and not file.startswith(others)

    return in_tree


def outside_modules(in_tree: Callable[[str], bool]) -> list[str]:
    """Names of the loaded modules that do not come from the tree: what a `forked` jail may load
    before it sees any edit."""
    names = []
    for name, module in sorted(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None) or getattr(module, "__file__", None) or ""
        if spec is not None and name == spec.name and origin and not in_tree(origin):
            names.append(name)
    return names


def rewritten_bytecode(root: str, in_tree: Callable[[str], bool]) -> dict[str, str]:
    """{path: base64} of pytest's own cache files for the test modules that are loaded: rewriting
    their assertions is most of the time that a small test run takes. {} where this version of
    pytest works differently: it is only about speed."""
    import pathlib

    try:
        from _pytest.assertion.rewrite import (
            PYC_TAIL,
            AssertionRewritingHook,
            _rewrite_test,
            _write_pyc_fp,
        )
    except ImportError:
        return {}
    prefix = root.rstrip("/") + "/"
    files: dict[str, str] = {}
    no_config: Any = None  # it says whether plugins hear of assertions that pass
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None) or ""
        if isinstance(getattr(spec, "loader", None), AssertionRewritingHook) and in_tree(origin):
            try:
                status, code = _rewrite_test(pathlib.Path(origin), no_config)
                data = io.BytesIO()
                _write_pyc_fp(data, status, code)
            except (OSError, SyntaxError, TypeError, ValueError):
                continue
            folder, name = os.path.split(origin[len(prefix) :])
            files[os.path.join(folder, "__pycache__", name[:-3] + PYC_TAIL)] = base64.b64encode(
                data.getvalue()
            ).decode()
    return files
