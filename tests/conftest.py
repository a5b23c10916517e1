"""Shared by all tests: a cache folder of their own, and small repositories made on the spot."""

import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# As coldstart.py does: among all that torch and the tests are made of, looking for garbage took a
# third of the time that it takes to collect the tests.
gc.set_threshold(20_000, 10, 10)

# Machines are noisy: how long an example takes says nothing.
settings.register_profile("coldstart", deadline=None)
settings.load_profile("coldstart")

# A shell that starts the tests in the background has Ctrl-C ignored, and every process that they
# start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
WITH_STUDENT = ("bootstrap", "climb", "eval", "export", "fix", "selfdistil")
"""Commands that load torch and transformers."""


@pytest.hookimpl(tryfirst=True)  # before -m leaves out
def pytest_collection_modifyitems(items):
    """A long test is a slow one. Files of slow tests first, so that the workers, which take file
    after file, come to an end together."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)
    slow = {item.path: [] for item in items}
    for item in items:
        slow[item.path].append(item.get_closest_marker("slow") is not None)
    items.sort(key=lambda item: -sum(slow[item.path]) / len(slow[item.path]))


CALC = {
    "calc/__init__.py": "",
    "calc/core.py": '''"""Sums and means."""
import math


def add(a, b):
    """Return a plus b."""
    return a + b


def mean(xs):
    """Return the arithmetic mean of xs."""
    if not xs:
        raise ValueError('no data')
    return sum(xs) / len(xs)


class Counter:
    """Counts."""

    def __init__(self):
        self.n = 0

    def up(self, by=1):
        """Add by and return the count."""
        self.n += by
        return self.n

    @staticmethod
    def twice(x):
        """Return x times 2."""
        return x * 2


def area(r):
    """Return the area of a circle."""
    return math.pi * r ** 2


def unused(x):
    """Never called by a test."""
    return x
''',
    "tests/test_core.py": '''import pytest

from calc.core import Counter, add, area, mean


def test_add():
    assert add(1, 2) == 3


def test_add_negative():
    assert add(1, -2) == -1


@pytest.mark.parametrize('xs, want', [([1, 2, 3], 2), ([5], 5)])
def test_mean(xs, want):
    assert mean(xs) == want


def test_mean_empty():
    with pytest.raises(ValueError):
        mean([])


class TestCounter:
    def test_up(self):
        c = Counter()
        assert c.up() == 1
        assert c.up(4) == 5

    def test_twice(self):
        assert Counter.twice(4) == 8


def test_area(tmp_path):
    (tmp_path / 'x').write_text('x')
    assert round(area(1), 3) == 3.142
''',
}


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache folder for this session alone; the made student, which takes minutes, is shared with
    other sessions."""
    import os

    before = {
        k: os.environ.get(k)
        for k in ("XDG_CACHE_HOME", "HF_HUB_OFFLINE", "VIRTUAL_ENV", "COLDSTART_TEACHER_KEY")
    }
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in ("VIRTUAL_ENV", "COLDSTART_TEACHER_KEY"):
        os.environ.pop(name, None)
    yield Path(os.environ["XDG_CACHE_HOME"])
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def make_repo(folder: Path, files: dict[str, str | bytes], commit: bool = True) -> Path:
    """A git repository with these files in one commit."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(folder, "init", "-q")
    if commit:
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "start")
    return folder


def run_cli(
    *arguments,
    cwd: Path,
    check: int | None = 0,
    env: dict | None = None,
    timeout: float = 600,
    fresh: bool = False,
) -> subprocess.CompletedProcess:
    """coldstart.py in a process of its own, as a person would start it. A command that loads a
    student is forked from a process that has its libraries loaded, unless it is to be `fresh` or
    has an environment of its own."""
    import os

    from tests import warm_process

    words = list(map(str, arguments))
    if fresh or env or not words or words[0] not in WITH_STUDENT:
        done = subprocess.run(
            [sys.executable, str(ROOT / "coldstart.py"), *words],
            cwd=cwd,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=timeout,
        )
    else:
        done = warm_process.run(words, cwd, timeout)
    assert check is None or done.returncode == check, (
        f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    assert "Traceback (most recent call last)" not in done.stderr, done.stderr
    return done


def practice_in(folder: Path) -> None:
    """The practice repository's easy half as `practice` in this folder: a link to one for all of
    these tests, so that its suite is run once. Not to be changed."""
    import os

    shared = Path(os.environ["XDG_CACHE_HOME"]) / "repositories"
    if not (shared / "practice").is_dir():
        shared.mkdir()
        run_cli("demo", "practice", "--part", "easy", cwd=shared)
    (folder / "practice").symlink_to(shared / "practice")


@pytest.fixture(scope="session")
def mined_calc(calc, tmp_path_factory):
    """(repository, folder of what was measured, what was mined) of calc"""
    from sandbox.judge.verdict import Limits
    from sandbox.repo import open_repository
    from sandbox.tasks.mine import MiningOptions, mine

    repository, folder = open_repository(calc), tmp_path_factory.mktemp("mined")
    return (
        repository,
        folder,
        mine(repository, Limits(workers=2), folder, MiningOptions(), lambda *_: None),
    )


@pytest.fixture(scope="session")
def calc(tmp_path_factory) -> Path:
    """A small repository: two functions, a class, one test file."""
    return make_repo(tmp_path_factory.mktemp("calc"), CALC)
