"""The tests' files without hidden tests: what stays, what goes, and that what is hidden changes
nothing."""

import ast
import textwrap

from hypothesis import given
from hypothesis import strategies as st

from sandbox.judge.visible import narrow, wide

TEST = "tests/test_a.py"
TEXTS = {
    TEST: '''"""About a."""
from __future__ import annotations

import os, json as j
import pytest
from tests.helper import twice, thrice
from pkg import f  # what is tested

pytestmark = pytest.mark.filterwarnings("ignore")
CASES = [1, 2]
EXPECTED = {"secret": 17}
if os.name:
    EXPECTED["more"] = 18

    def test_in_a_branch():
        assert f(3) == 19


@pytest.fixture(autouse=True)
def always(monkeypatch):
    monkeypatch.setenv("A", "B")


@pytest.fixture
def test_data():
    return CASES


class Base:
    size = 3
    other = 20

    def setUp(self):
        self.x = self.size

    def test_inherited(self):
        """Of both."""
        assert f(self.x) == 21


class TestOne(Base):
    def test_first(self, test_data):
        # what is shown
        assert twice(f(test_data)) == 22

    def test_second(self):
        assert f(EXPECTED) == 23


def test_third():
    assert thrice(f(EXPECTED)) == j.loads("24")


class TestTwo:
    def test_fourth(self):
        assert f(1) == 25
''',
    "tests/helper.py": "from tests.deeper import two\n\n\ndef twice(x):\n    return two() * x\n\n\ndef thrice(x):\n    return 26\n",
    "tests/deeper.py": "def two():\n    return 2\n",
    "tests/test_b.py": "def test_b():\n    assert 27\n",
    "tests/broken.py": "def (",
    "conftest.py": "import pkg\n\n\ndef pytest_configure():\n    pass\n\n\ndef unused():\n    return 28\n",
}
SHOWN, HIDDEN = (
    (f"{TEST}::TestOne::test_first",),
    (f"{TEST}::test_third", f"{TEST}::TestOne::test_second"),
)
NARROW = '''from __future__ import annotations
import pytest
from tests.helper import twice
from pkg import f
pytestmark = pytest.mark.filterwarnings('ignore')
CASES = [1, 2]

@pytest.fixture(autouse=True)
def always(monkeypatch):
    monkeypatch.setenv('A', 'B')

@pytest.fixture
def test_data():
    return CASES

class Base:

    def setUp(self):
        self.x = self.size

class TestOne(Base):

    def test_first(self, test_data):
        assert twice(f(test_data)) == 22
'''


def test_narrow_is_what_the_shown_tests_name():
    view = narrow(SHOWN, HIDDEN, TEXTS, ["tests/expected.json", "tests/more.txt"])
    assert view.files == {
        TEST: NARROW.replace("class Base:\n\n", "class Base:\n    size = 3\n\n"),
        "tests/helper.py": TEXTS["tests/helper.py"]
        .split("\n\n\ndef thrice")[0]
        .replace("\n\n\n", "\n\n")
        + "\n",
        "tests/deeper.py": TEXTS["tests/deeper.py"],
        "conftest.py": "import pkg\n\ndef pytest_configure():\n    pass\n",
    }
    assert view.others == frozenset()


def test_wide_is_all_but_other_tests():
    view = wide(SHOWN, HIDDEN, TEXTS, ["tests/expected.json"])
    assert view.others == {"tests/expected.json"} and "tests/broken.py" not in view.files
    text = view.files[TEST]
    assert all(
        word in text for word in ("EXPECTED", "thrice", "class TestTwo", "test_data", "other")
    )
    assert not any(
        str(number) in "".join(view.files.values()) for number in (19, 21, 23, 24, 25, 27)
    )
    assert not any(
        node.name in ("test_second", "test_third", "test_fourth", "test_inherited", "test_b")
        for part in view.files.values()
        for node in ast.walk(ast.parse(part))
        if isinstance(node, ast.FunctionDef)
    )


def test_data_that_is_named_stays():
    text = "def test_a():\n    assert open('tests/data/one.json') and load('two')\n"
    others = ["tests/data/one.json", "tests/data/two.csv", "tests/data/three.csv"]
    view = narrow(("t.py::test_a",), (), {"t.py": text}, others)
    assert view.others == {"tests/data/one.json", "tests/data/two.csv"}


def test_a_shown_test_may_be_inherited():
    view = narrow((f"{TEST}::TestOne::test_inherited",), HIDDEN, TEXTS, [])
    assert "== 21" in view.files[TEST] and "== 22" not in view.files[TEST]


def test_a_helper_may_be_called_like_a_test():
    text = "def test_it(x):\n    assert x\n\n\ndef test_a():\n    test_it(1)\n\n\ndef test_c():\n    test_it(3)\n"
    view = narrow(("t.py::test_a",), ("t.py::test_c",), {"t.py": text}, [])
    assert "def test_it" in view.files["t.py"] and "test_c" not in view.files["t.py"]


STATEMENTS = st.sampled_from(
    ["assert f(1) == 5", "x = CASES", "raise ValueError('words')", "twice(3)", "'text'"]
)


@given(
    st.lists(STATEMENTS, min_size=1), st.lists(STATEMENTS, min_size=1), st.text("ab #", max_size=9)
)
def test_nothing_depends_on_the_hidden_ones(third, second, comment):
    def filled(statements, indent):
        return textwrap.indent("\n".join(statements), " " * indent)

    text = TEXTS[TEST].replace(
        "    assert thrice(f(EXPECTED)) == j.loads(\"24\")", filled(third, 4)
    )
    text = text.replace("        assert f(EXPECTED) == 23", filled(second, 8) + f"  # {comment}")
    changed = {**TEXTS, TEST: text}
    for cut in (narrow, wide):
        assert cut(SHOWN, HIDDEN, changed, []) == cut(SHOWN, HIDDEN, TEXTS, [])
