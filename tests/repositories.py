"""Repositories with the traits that real ones have, as {path: content}; `test_real_repositories.py`
says what is expected of each."""

# -------------------------------------------------------------------------- functions of every kind

KINDS = {
    "conftest.py": "import kinds\n\nkinds.LOADED = True\n",
    "kinds.py": '''"""Functions of every kind."""
import functools
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, singledispatch
from typing import overload


def shout(function):
    """Decorate: the result in upper case."""
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs).upper()
    return wrapper


@shout
def greet(name):
    return f"hello {name}"


@overload
def double(x: int) -> int: ...
@overload
def double(x: str) -> str: ...
def double(x):
    return x * 2


@contextmanager
def opened(log):
    log.append("open")
    yield log
    log.append("closed")


@singledispatch
def kind(x):
    return "a " + "thing"


@kind.register
def _(x: int):
    return "a " + "number"


def make_adder(n):
    def add(x):
        return x + n
    return add


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def squares(n):
    for i in range(n):
        yield i * i


async def later(x):
    return x + 1


async def ticks(n):
    for i in range(n):
        yield i


class Base:
    def __init__(self, x):
        self.x = x

    def describe(self):
        return f"base {self.x}"


class Child(Base):
    def describe(self):
        return "child of " + super().describe()

    def __secret(self):
        return self.x * 6

    def reveal(self):
        return self.__secret()


class Account:
    rate = 2

    def __init__(self, balance):
        self._balance = balance

    @property
    def balance(self):
        return self._balance + 0

    @balance.setter
    def balance(self, value):
        if value < 0:
            raise ValueError(value)
        self._balance = value

    @property
    def doubled(self):
        return self._balance * 2

    @cached_property
    def tripled(self):
        return self._balance * 3

    @classmethod
    def empty(cls):
        return cls(cls.rate - 2)

    @staticmethod
    def fee(amount):
        return amount // 10

    def __eq__(self, other):
        return self._balance == other._balance

    __hash__ = None

    def __exit__(self, *exc):
        self._balance = 0

    def __enter__(self):
        self._balance += 1
        return self


@dataclass
class Point:
    x: int = 0
    y: int = 0
    tags: list = field(default_factory=list)

    def __post_init__(self):
        self.tags.append("made")

    def norm(self):
        return abs(self.x) + abs(self.y)


def joined(*args, sep=",", **options):
    return sep.join(map(str, args)) + "".join(sorted(options))


def one_line(x): return x - 1


if shout:
    def conditional(x):
        return x % 3
''',
    "tests/test_kinds.py": '''import asyncio

import pytest
from kinds import (Account, Base, Child, Point, conditional, double, fib, greet, joined, kind, later, make_adder, one_line, opened,
                   shout, squares, ticks)


def test_decorated():
    assert greet("x") == "HELLO X"
    assert shout(str)("a") == "A"


def test_overloaded():
    assert double(2) == 4 and double("a") == "aa"


def test_context():
    log = []
    with opened(log) as same:
        assert same == ["open"]
    assert log == ["open", "closed"]


def test_dispatched():
    assert kind("") == "a thing"
    assert kind(1) == "a number"


def test_nested():
    assert make_adder(2)(3) == 5


def test_recursive():
    assert fib(7) == 13


def test_generator():
    assert list(squares(4)) == [0, 1, 4, 9]


def test_async():
    async def collect():
        return [t async for t in ticks(3)]
    assert asyncio.run(later(1)) == 2
    assert asyncio.run(collect()) == [0, 1, 2]


def test_super():
    assert Child(1).describe() == "child of base 1"
    assert Base(2).describe() == "base 2"


def test_private():
    assert Child(7).reveal() == 42


def test_account():
    account = Account(5)
    account.balance = 7
    assert account.balance == 7 and account.doubled == 14 and account.tripled == 21
    with pytest.raises(ValueError):
        account.balance = -1
    assert Account.empty() == Account(0) and Account(1) != Account(2)
    assert Account.fee(55) == 5
    with account:
        assert account.balance == 8
    assert account.balance == 0


def test_dataclass():
    assert Point(1, -2).norm() == 3
    assert Point().tags == ["made"]


def test_arguments():
    assert joined(1, 2, sep="-", b=1, a=2) == "1-2ab"


def test_small():
    assert one_line(3) == 2 and conditional(7) == 1
''',
}

# ------------------------------------------------------------------------------ files of every kind

WINDOWS = '''"""Lines with Windows' ends."""
import math


def half(x):
    """Return half of x,
    rounded down.
    """
    y = math.floor(x / 2)
    return y
'''
LATIN = '''# -*- coding: latin-1 -*-
"""Grüße."""


def greet(name):
    """Grüße."""
    return "Grüße, " + name
'''

FILES = {
    ".gitignore": "_version.py\n/generated/\n",
    ".gitattributes": "* -text\n",
    "src/shop/__init__.py": "from shop._version import version\n",
    "src/shop/about.py": "from shop import version\n\n\ndef about():\n    return 'shop ' + "
    "version\n",
    "src/acme/billing/__init__.py": "",
    "src/acme/billing/core.py": "from acme.billing.rates import RATE\n\n\ndef bill(x):\n    return "
    "x * RATE\n",
    "src/acme/billing/rates.py": "RATE = 3\n",
    "src/acme/mail/send.py": "def send(x):\n    return 'sent ' + x\n",
    "flat/__init__.py": "",
    "flat/core.py": "from pathlib import Path\n\n\ndef count():\n    return "
    "len(Path('generated/words.txt').read_text().split())\n",
    "flat/test_beside.py": "from .core import count\n\n\ndef test_count():\n    assert count() == "
    "2\n",
    "single.py": "def alone(x):\n\treturn x * 3\n",
    "windows.py": WINDOWS.replace("\n", "\r\n"),
    "latin.py": LATIN.encode("latin-1"),
    "marked.py": "\ufeffdef 名前(x):\n    return 'naïve ' + x\n",
    "tests/conftest.py": "import pytest\nimport single\nfrom acme.mail.send import send\n\n\n"
    "@pytest.fixture\ndef sent():\n    return send('a') * single.alone(1)\n",
    "tests/test_src.py": '''from acme.billing.core import bill
from shop.about import about


def test_about():
    assert about() == "shop 1.2"


def test_bill():
    assert bill(2) == 6


def test_sent(sent):
    assert sent == "sent asent asent a"
''',
    "tests/test_windows.py": '''from windows import half


def test_half():
    assert half(3) == 1
    assert half(9) == 4
'''.replace("\n", "\r\n"),
    "tests/test_latin.py": '''# coding: cp1252
from latin import greet


def test_greet():
    assert greet("é") == "Grüße, é"
'''.encode("cp1252"),
    "tests/test_marked.py": '''\ufefffrom marked import 名前


def test_名前():
    assert 名前("é") == "naïve é"
''',
    "tests/test_submodule.py": '''import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "third"))

from vendored.lib import base  # noqa: E402


def test_base():
    assert base(1) == 11
''',
}
GENERATED = {"src/shop/_version.py": "version = '1.2'\n", "generated/words.txt": "two words\n"}
"""What git does not know of and the tests need."""
SUBMODULE = {"vendored/__init__.py": "", "vendored/lib.py": "def base(x):\n    return x + 10\n"}
"""What lies at `third`."""

# ------------------------------------------------------------------------------ tests of every kind

SUITE = {
    "core.py": '''import os
from pathlib import Path


def up(x):
    return x + 1


def down(x):
    return x - 1


def make_db():
    return {"key": [1]}


def module_value(x):
    return [x, 3]


def note(text, path=None):
    """Print the text, or write it to a file."""
    text = os.environ.get("PREFIX", "") + text
    if path:
        path.write_text(text)
    else:
        print(text)


def made():
    return Path("made/made.txt").read_text() + Path("made/more.txt").read_text()


def backwards(xs):
    return xs[::-1]


def counted(x):
    return x + 10


def alone(x):
    return x + 20
''',
    "gone.txt": "removed when the session starts\n",
    "tests/__init__.py": "",
    "tests/base.py": '''import unittest


class Inherited:
    def test_inherited(self):
        self.assertEqual(self.function(1), self.want)


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from core import down
        cls.one = down(2)
''',
    "tests/conftest.py": '''from pathlib import Path

import pytest

import core


def pytest_sessionstart(session):
    Path("made").mkdir()
    Path("made/made.txt").write_text("made ")
    Path("gone.txt").unlink()


def pytest_collection_finish(session):
    Path("made/more.txt").write_text("more")


@pytest.fixture(scope="session")
def db():
    return core.make_db()


@pytest.fixture(scope="module")
def value():
    return core.module_value(2)
''',
    "tests/test_fixtures.py": '''import tempfile
from pathlib import Path

import core
import pytest

KEPT = Path(tempfile.mkdtemp()) / "kept"
KEPT.write_text("kept")


def test_first(db):
    assert db["key"] == [1]


def test_second(db, value):
    assert db == {"key": [1]} and value == [2, 3]


def test_capsys(capsys):
    core.note("a")
    assert capsys.readouterr().out == "a\\n"


def test_capfd(capfd):
    core.note("b")
    assert capfd.readouterr().out == "b\\n"


def test_monkeypatch(monkeypatch, capsys):
    monkeypatch.setenv("PREFIX", "1 ")
    core.note("c")
    assert capsys.readouterr().out == "1 c\\n"


def test_tmp_path(tmp_path, tmp_path_factory):
    for folder in (tmp_path, tmp_path_factory.mktemp("other")):
        core.note("d", folder / "a")
        assert (folder / "a").read_text() == "d"


def test_cache(cache, caplog, recwarn, value):
    cache.set("a/b", value)
    assert cache.get("a/b", None) == [2, 3]


def test_made():
    assert core.made() == "made more" and not Path("gone.txt").exists()
    assert KEPT.read_text() == "kept"


@pytest.mark.parametrize(
    "x", ["a b", "a::b", "[", "]", "]::x[", "", "é", "\\n", "\\x00", "x.py::test", "/", "%s", "\\ud800", b"\\xff", None, 1.5],
    ids=lambda x: x if isinstance(x, str) and len(x) > 3 else None)
def test_odd(x):
    assert core.counted(len(str(x))) == len(str(x)) + 10
''',
    "tests/test_last.py": "def test_third(db):\n    assert db\n",
    "tests/test_properties.py": '''import time

from hypothesis import given, settings
from hypothesis import strategies as st

from core import backwards

drawn = []


@given(st.lists(st.integers()))
@settings(max_examples=20)
def test_backwards(xs):
    assert backwards(backwards(xs)) == xs
    assert backwards(xs)[:1] == xs[-1:]


@given(st.integers())
@settings(max_examples=2, deadline=10)
def test_slowly(x):
    drawn.append(x)
    time.sleep(0.02)
    assert backwards([x]) == [x]


def test_drawn():
    assert not drawn
''',
    "tests/test_unit.py": '''import unittest

import core
from tests import base


def setUpModule():
    global made
    made = core.up(0)


class Up(base.Inherited, unittest.TestCase):
    want = 2

    def function(self, x):
        return core.up(x)


class Down(base.Base):
    def test_class(self):
        self.assertEqual(self.one, 1)

    def test_module(self):
        self.assertEqual(made, 1)

    def test_subtests(self):
        for i in range(4):
            with self.subTest(i=i):
                self.assertEqual(core.down(i), i - 1)

    @unittest.skip("no")
    def test_skipped(self):
        self.assertEqual(core.up(1), 2)

    @unittest.expectedFailure
    def test_expected(self):
        self.assertEqual(core.up(1), 3)


class Later(unittest.IsolatedAsyncioTestCase):
    async def test_later(self):
        self.assertEqual(core.up(3), 4)
''',
    "tests/test_unreliable.py": '''import random

import core
import pytest

state = []


@pytest.mark.parametrize("i", range(20))
def test_lucky(i):
    assert random.SystemRandom().random() < 0.5


def test_failing():
    assert core.alone(1) == 2


def test_before():
    state.append(1)


def test_after():
    assert core.alone(state[0]) == 21
''',
}

PROCESSES = {
    "core.py": '''import os
import subprocess
import sys
import threading


def in_threads(function, n):
    found = []
    threads = [threading.Thread(target=lambda i=i: found.append(function(i))) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def squared(x):
    return x * x


def in_process(expression):
    command = [sys.executable, "-c", f"from core import squared; print({expression})"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def forked(function):
    pid = os.fork()
    if pid == 0:
        os._exit(function())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
''',
    "tests/test_core.py": '''import multiprocessing
import subprocess
from concurrent.futures import ProcessPoolExecutor

import core


def test_threads():
    assert core.in_threads(core.squared, 4) == [0, 1, 4, 9]


def test_process():
    assert core.in_process("squared(3)") == "9\\n" and core.squared(2) == 4


def test_forked():
    assert core.forked(lambda: 7) == 7


def test_pool():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(core.squared, [1, 2])) == [1, 4]
    assert core.squared(1) == 1


def test_background():
    child = subprocess.Popen(["sleep", "100"])
    child.terminate()
    assert child.wait() == -15 and core.squared(2) == 4
''',
}

# --------------------------------------------------------------------------- settings of every kind

TWO_PACKAGES = {
    "conftest.py": "import sys\nfrom pathlib import Path\n\nfor name in ('one', 'two'):\n"
    "    sys.path.insert(0, str(Path(__file__).parent / 'packages' / name / 'src'))\n",
    "packages/one/pyproject.toml": "[project]\nname = 'one'\n\n[tool.pytest.ini_options]\naddopts "
    "= '-x'\n",
    "packages/one/src/one/__init__.py": "",
    "packages/one/src/one/core.py": "from one import rest\n\n\ndef up(x):\n    return x + "
    "rest.ONE\n",
    "packages/one/src/one/rest.py": "ONE = 1\n",
    "packages/one/tests/pytest.ini": "[pytest]\naddopts = -ra\n",
    "packages/one/tests/test_one.py": "from one.core import up\n\n\ndef test_up():\n    assert "
    "up(1) == 2\n",
    "packages/two/pyproject.toml": "[project]\nname = 'two'\n\n[tool.pytest.ini_options]\naddopts "
    "= '-q'\n",
    "packages/two/src/two/__init__.py": "",
    "packages/two/src/two/core.py": "from one.core import up\n\n\ndef down(x):\n    return "
    "-up(x)\n",
    "packages/two/tests/test_two.py": "from two.core import down\n\n\ndef test_down():\n    assert "
    "down(1) == -2\n",
}
"""No settings at the top, and some beside the tests: naming a test must not make pytest find those.
"""

SETTINGS = {
    "pytest.ini": "[pytest]\naddopts = -x --ff --sw --doctest-modules --doctest-glob=*.rst "
    "--durations=3 --strict-markers --strict-config\n"
    "    --junitxml=report.xml .\nfaulthandler_timeout = 60\nxfail_strict = true\n",
    "core.py": '''"""Ups and downs.

>>> 1 + 1
2
"""


def up(x):
    """Return x plus 1.

    >>> up(1)
    2
    """
    return x + 1


def down(x):
    return x - 1


def documented(x):
    """
    >>> documented(1)
    11
    """
    return x + 10
''',
    "guide.rst": "How to go down::\n\n    >>> from core import down\n    >>> down(3)\n    2\n",
    "tests/test_core.py": '''"""
>>> from core import up
>>> up(2)
3
"""
import core


def test_failing():
    assert core.up(1) == 3


def test_up():
    assert core.up(1) == 2


def test_down():
    assert core.down(1) == 0
''',
}
"""A run that would end at its first failure, and doctests in all the places where there can be
some."""

PLUGINS = {
    "pkg/__init__.py": "",
    "pkg/core.py": "def up(x):\n    return x + 1\n\n\nasync def later(x):\n    return x + 2\n",
    "tests/test_core.py": '''import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkg.core import later, up


def test_up():
    assert up(1) == 2


@pytest.mark.asyncio
async def test_later():
    assert await later(1) == 3


def test_failing():
    assert up(1) == 3


def test_subtests(subtests):
    for i in range(3):
        with subtests.test(i=i):
            assert up(i) == i + 1


def test_seeded():
    assert up(random.randint(0, 10**9)) > 0


@given(st.integers())
def test_property(x):
    assert up(x) > x
''',
}

# ----------------------------------------------------------------------------------------- compiled

EXTENSION = {
    ".gitignore": "*.so\n",
    "src/fast/__init__.py": "",
    "src/fast/core.py": "from fast._speed import plus_one\n\n\ndef plus_two(x):\n    return "
    "plus_one(plus_one(x))\n",
    "src/fast/_speed.c": '''#include <Python.h>

static PyObject *plus_one(PyObject *self, PyObject *x) { return PyLong_FromLong(PyLong_AsLong(x) + 1); }

static PyMethodDef methods[] = {{"plus_one", plus_one, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_speed", "", -1, methods};
PyMODINIT_FUNC PyInit__speed(void) { return PyModule_Create(&module); }
''',
    "tests/test_core.py": "from fast.core import plus_two\n\n\ndef test_plus_two():\n    assert "
    "plus_two(1) == 3\n",
}

# --------------------------------------------------------------------------------- the project

EDITABLE = {
    "python/edit/__init__.py": "",
    "python/edit/core.py": "from helper import plus\n\n\ndef up(x):\n    return plus(x, 1)\n",
    "checks/test_up.py": "from edit.core import up\n\n\ndef test_up():\n    assert up(1) == 2\n",
}
"""Its package is only found by an editable install."""
INSTALLED = {
    "helper.py": "def plus(a, b):\n    c = a + b\n    return c\n",
    "helper_tests/test_helper.py": "from helper import plus\n\n\n"
    "def test_plus():\n    assert plus(1, 1) == 2\n",
}
"""A package of somebody else with tests of its own."""
FINDER = '''import sys
from importlib.util import spec_from_file_location


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "edit":
            return spec_from_file_location(name, PLACE + "/__init__.py",
                                           submodule_search_locations=[PLACE])


def install():
    sys.meta_path.append(Finder)
'''
"""As editable installs have it: it leads to PLACE."""

GUESSED = {
    "build/__init__.py": "",
    "build/plan.py": "def order(steps):\n    return sorted(steps, reverse=True)\n",
    "jobs/run.json": '{"hour": 3}\n',
    "jobs/load.py": "import json\nfrom pathlib import Path\n\n\ndef hour():\n"
    "    text = Path(__file__).with_name('run.json').read_text()\n"
    "    return json.loads(text)['hour']\n",
    "node_modules/count.py": "def count(x):\n    return len(x) + 1\n",
    "tests/test_all.py": '''from build.plan import order
from jobs.load import hour
from node_modules.count import count


def test_order():
    assert order([1, 2]) == [2, 1]


def test_hour():
    assert hour() == 3


def test_count():
    assert count("ab") == 3
''',
}
"""Folders whose names look like something else."""

IGNORED = {
    ".gitignore": "/made.py\n/scratch/\n",
    "core.py": "from made import half\n\n\ndef quarter(x):\n    return half(half(x))\n",
    "lib/tool.py": "def tool(x):\n    return x * 5\n",
    "tests/conftest.py": "import os\nimport sys\n\nhere = os.path.dirname(__file__)\n"
    "sys.path.insert(0, os.path.join(here, '..', 'lib'))\n",
    "tests/test_core.py": '''import made
from core import quarter
from tool import tool


def test_quarter():
    assert quarter(8) == 2


def test_half():
    assert made.half(8) == 4


def test_tool():
    assert tool(1) == 5


def test_today():
    assert made.half(8) == 3
''',
}
MADE = {
    "made.py": "def half(x):\n    y = x // 2\n    return y\n",
    "scratch/test_scratch.py": "from core import quarter\n\n\ndef test_scratch():\n"
    "    assert quarter(4) == 1\n\n\ndef test_not():\n"
    "    assert quarter(4) == 2\n",
}
"""What git ignores there."""

UNREAD = {
    "odd.py": "def half(x):\r    y = x // 2\r    return y\r",
    "core.py": "from odd import half\n\n\ndef quarter(x):\n    return half(half(x))\n",
    "test_core.py": "from core import quarter\nfrom odd import half\n\n\ndef test_quarter():\n"
    "    assert quarter(8) == 2\n\n\ndef test_half():\n    assert half(4) == 2\n"
    "\n\ndef test_today():\n    assert half(4) == 3\n",
}
"""With a file that Python reads and we do not."""
