"""What belongs to the tests and what is source: by what the suite shows, whatever it is called."""

import json
from dataclasses import replace

import pytest

from sandbox.judge.edits import from_patch
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.outside import Hidden
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.patches import make
from sandbox.repo import open_repository
from sandbox.roles import Roles, decide
from sandbox.source import find, read_text, with_body
from sandbox.survey import Survey, survey
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.task import Task
from tests.conftest import git, make_repo

LIMITS = Limits(workers=2, timeout=5.0)
ACCOUNT = '''class Account:
    def __init__(self, start=0):
        self.balance = start
        self.rows = []

    def book(self, amount):
        """Add the amount and write a row."""
        self.balance += amount
        self.rows.append((amount, self.balance))
        return self.balance
'''
CHECKS = '''"""What many tests share."""


def check_account(account):
    """The rows must add up to the balance."""
    for (_, before), (amount, balance) in zip(account.rows, account.rows[1:]):
        if before + amount != balance:
            {}


def booked(account, *amounts):
    for amount in amounts:
        account.book(amount)
    return account
'''
RAISES, FAILS = "raise AssertionError(balance)", "account.fail(balance)"
TESTS = '''from bank.account import Account
from {0} import booked, check_account


def test_one():
    check_account(booked(Account(10), 5, 6))


def test_two():
    assert booked(Account(), 5, -3).balance == 2
'''
LIFT = '''def {}(a, b):
    """By how many percent b is more than a."""
    more = b - a
    return round(100 * more / a, 1)
'''
BANK = {"bank/__init__.py": "", "bank/account.py": ACCOUNT}
SPECS = {"pytest.ini": "[pytest]\npython_files = *_spec.py\n", "specs/__init__.py": ""}


def helped(helper: str, test: str, how: str = FAILS) -> dict[str, str]:
    """A helper of tests at this path, and tests of the bank that use it."""
    name = helper.removesuffix(".py").replace("/", ".")
    return {**BANK, helper: CHECKS.format(how), test: TESTS.format(name)}


def lifts(*files: str) -> dict[str, str]:
    """Modules with a function each, and a test of them all in a folder of tests."""
    names = {file: f"lift_{number}" for number, file in enumerate(files)}
    imports = [
        f"from {file.removesuffix('.py').replace('/', '.')} import {name}\n"
        for file, name in names.items()
    ]
    tests = [f"\n\ndef test_{name}():\n    assert {name}(4, 5) == 25\n" for name in names.values()]
    return {
        **{file: LIFT.format(name) for file, name in names.items()},
        "tests/test_lifts.py": "".join(imports + tests),
    }


HELPERS = {
    "beside tests, in a folder of any name": (
        "verify/checks.py",
        {**helped("verify/checks.py", "verify/test_account.py"), "verify/__init__.py": ""},
    ),
    "below tests": (
        "specs/lib/checks.py",
        {
            **helped("specs/lib/checks.py", "specs/account_spec.py"),
            **SPECS,
            "specs/lib/__init__.py": "from specs.lib.checks import booked\n",
        },
    ),
    "in a folder beside theirs": (
        "specs/lib/checks.py",
        {
            **helped("specs/lib/checks.py", "specs/unit/account_spec.py"),
            **SPECS,
            "specs/lib/__init__.py": "",
            "specs/unit/__init__.py": "",
        },
    ),
    "called after what is tested": (
        "specs/account.py",
        {**helped("specs/account.py", "specs/account_spec.py"), **SPECS},
    ),
    "at the top, where it raises what tests raise": (
        "checks.py",
        helped("checks.py", "tests/test_account.py", RAISES),
    ),
    "among the source, where it raises what tests raise": (
        "bank/checks.py",
        helped("bank/checks.py", "tests/test_account.py", RAISES),
    ),
    "among the source, where it uses another": (
        "bank/more.py",
        {
            **helped("bank/more.py", "tests/test_account.py"),
            "tests/cases.py": "AMOUNTS = 5, 6\n",
            "tests/__init__.py": "",
            "bank/more.py": "import tests.cases\n" + CHECKS.format(FAILS),
        },
    ),
    "called like a test, beside tests": (
        "test_checks.py",
        helped("test_checks.py", "test_account.py"),
    ),
    "a plugin of the suite": (
        "bank/given.py",
        {
            **BANK,
            "bank/given.py": "import pytest\nfrom bank.account import Account\n\n\n"
            "@pytest.fixture\ndef account():\n    found = Account(3)\n"
            "    return found\n",
            "tests/conftest.py": "pytest_plugins = ['bank.given']\n",
            "tests/test_account.py": "def test_it(account):\n    assert account.book(2) == 5\n",
        },
    ),
    "a plugin that the settings name": (
        "bank/given.py",
        {
            **BANK,
            "bank/given.py": "from bank.account import Account\n\n\ndef given():\n"
            "    found = Account(3)\n    return found\n",
            "pytest.ini": "[pytest]\naddopts = -p bank.given\npythonpath = .\n",
            "tests/test_account.py": "from bank.given import given\n\n\ndef test_it():\n"
            "    assert given().book(2) == 5\n",
        },
    ),
    "tests that others inherit": (
        "bank/testing/suite.py",
        {
            **BANK,
            "bank/testing/suite.py": "class Suite:\n    def test_book(self):\n"
            "        assert self.made(2).book(3) == 5\n\n"
            "    def made(self, n):\n"
            "        raise NotImplementedError(n)\n",
            "tests/test_account.py": "from bank.account import Account\n"
            "from bank.testing.suite import Suite\n\n\n"
            "class TestAccount(Suite):\n    def made(self, n):\n"
            "        found = Account(n)\n        return found\n",
        },
    ),
}
SOURCES = {
    "called like tests or jobs, in a package": (
        (
            "shop/ab_test.py",
            "shop/test_rig.py",
            "shop/tests.py",
            "shop/tasks.py",
            "shop/setup.py",
            "shop/testing/stub.py",
            "shop/test/rig.py",
        ),
        lifts(
            "shop/price.py",
            "shop/ab_test.py",
            "shop/test_rig.py",
            "shop/tests.py",
            "shop/tasks.py",
            "shop/setup.py",
            "shop/testing/stub.py",
            "shop/test/rig.py",
        ),
    ),
    "called so, at the top": (
        ("ab_test.py", "tasks.py", "fabfile.py", "testing/stub.py"),
        {
            **lifts("price.py", "ab_test.py", "tasks.py", "fabfile.py", "testing/stub.py"),
            "testing/__init__.py": "",
        },
    ),
    "in the folder of the tests, and imported by source": (
        ("tests/data/rates.py",),
        {
            **lifts("app.py"),
            "tests/data/rates.py": LIFT.format("rate"),
            "app.py": "from tests.data.rates import rate\n\n\ndef lift_0(a, b):\n"
            "    return rate(a, b) + 0\n",
        },
    ),
    "beside their tests": (
        ("cart/cart.py", "cart/more.py", "polls/models.py"),
        {
            **lifts("other.py"),
            "cart/__init__.py": "",
            "polls/__init__.py": "",
            "cart/cart.py": LIFT.format("lift"),
            "cart/more.py": LIFT.format("more"),
            "polls/models.py": LIFT.format("model"),
            "pytest.ini": "[pytest]\npython_files = test_*.py tests.py\n",
            "cart/test_cart.py": "from cart.cart import lift\nfrom cart.more import more\n"
            "from other import lift_0\n\n\ndef test_it():\n"
            "    assert lift(4, 5) == more(4, 5) == lift_0(4, 5) == 25\n",
            "polls/tests.py": "from other import lift_0\nfrom polls.models import model\n\n\n"
            "def test_it():\n    assert model(4, 5) == lift_0(4, 5) == 25\n",
        },
    ),
    "that a plugin looks at as if there were tests in it": (
        ("core.py",),
        {
            "core.py": LIFT.format("lift"),
            "tests/test_core.py": "from core import lift\n\n\ndef test_lift():\n    assert lift(4, "
            "5) == 25\n",
            "conftest.py": '''import pytest


def pytest_collect_file(parent, file_path):
    if file_path.suffix == ".py":
        return Linted.from_parent(parent, path=file_path)


class Linted(pytest.File):
    def collect(self):
        yield Line.from_parent(self, name="lint")


class Line(pytest.Item):
    def runtest(self):
        compile(self.path.read_text(), "x", "exec")
''',
        },
    ),
}


def surveyed(root) -> Survey:
    with Judge(open_repository(root), LIMITS) as judge:
        return survey(judge, lambda *_: None)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(where, marks=pytest.mark.slow if number else ())
        for number, where in enumerate(HELPERS)
    ],
)
def test_helpers_of_tests_are_no_source(tmp_path, where):
    helper, files = HELPERS[where]
    found = surveyed(make_repo(tmp_path / "p", files))
    assert helper in {file for file, _, _ in found.functions} and found.is_test(helper)
    assert not found.is_test("bank/account.py") and found.callers
    assert all(found.is_test(file) for file in found.test_files)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(where, marks=pytest.mark.slow if number else ())
        for number, where in enumerate(SOURCES)
    ],
)
def test_source_is_source_whatever_it_is_called(tmp_path, where):
    sources, files = SOURCES[where]
    found = surveyed(make_repo(tmp_path / "p", files))
    assert [file for file in sources if found.is_test(file)] == []
    tests = [file for file in files if file.endswith(".py") and "def test_" in files[file]]
    assert tests and all(found.is_test(file) for file in tests)
    assert Survey.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.slow
def test_tests_behind_a_link_are_tests_under_both_names(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            **lifts("core.py"),
            "shared/cases.py": "from core import lift_0\n\n\ndef test_more():\n"
            "    assert lift_0(1, 2) == 100\n",
        },
    )
    (root / "tests/test_more.py").symlink_to("../shared/cases.py")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "a link")
    found = surveyed(root)
    assert "tests/test_more.py::test_more" in found.passing
    assert found.is_test("tests/test_more.py") and found.is_test("shared/cases.py")


# -------------------------------------------------------------------------------- what is decided

FACTS = {"tests": [], "imports": {}, "plugins": [], "products": [], "testing": []}


def decided(files: str, **facts) -> Roles:
    return decide(files.split(), {**FACTS, **facts})


def test_an_installed_plugin_is_the_product():
    facts = {
        "tests": ["tests/test_shy.py"],
        "testing": ["src/shy/plugin.py", "src/shy/more.py"],
        "plugins": ["src/shy/plugin.py"],
        "imports": {"tests/test_shy.py": ["src/shy/plugin.py", "src/shy/more.py"]},
    }
    files = "src/shy/plugin.py src/shy/more.py tests/test_shy.py"
    installed = decided(files, **facts, products=["src/shy/plugin.py"])
    assert not installed.is_test("src/shy/plugin.py")
    assert decided(files, **facts).is_test("src/shy/plugin.py")


def test_a_script_that_starts_the_tests_makes_no_source_of_them():
    files = "run.py app.py tests/test_app.py tests/cases.py"
    imports = {
        "run.py": ["tests/test_app.py", "tests/cases.py"],
        "tests/test_app.py": ["app.py", "tests/cases.py"],
    }
    roles = decided(files, tests=["tests/test_app.py"], imports=imports)
    assert set(roles.of_tests) == {"run.py", "tests/test_app.py", "tests/cases.py"}


def test_what_holds_tests_is_none_the_less_a_test_where_source_imports_it():
    roles = decided(
        "app.py core.py tests/test_app.py",
        tests=["core.py", "tests/test_app.py"],
        imports={"app.py": ["core.py"], "tests/test_app.py": ["app.py"]},
    )
    assert roles.is_test("core.py") and not roles.is_test("app.py")


def test_folders_of_tests_and_what_lies_in_them():
    files = "app.py lib/tests/data.json lib/tests/rates.py tests/a/test_app.py tests/a/big.csv"
    imports = {"app.py": ["lib/tests/rates.py"], "tests/a/test_app.py": ["app.py"]}
    roles = decided(files, tests=["tests/a/test_app.py"], imports=imports)
    assert roles.folders == ("lib/tests", "tests") and roles.sources == ("lib/tests/rates.py",)
    assert roles.folder_of("tests/a/big.csv") == "tests" and roles.folder_of("app.py") == ""
    beside = decided(files + " lib/core.py", tests=["tests/a/test_app.py"], imports=imports)
    assert beside.folders == ("tests",) and beside.folder_of("lib/tests/data.json") == ""
    assert Roles().folder_of("lib/tests/data.json") == "lib/tests", "names tell where nothing else"


def test_a_run_without_facts_goes_by_names():
    old = Survey(
        passing=("odd.py::test",), excluded={}, seconds={}, functions=(), calls={}, modules=()
    )
    data = {key: value for key, value in old.to_dict().items() if key != "roles"}
    for found in (old, Survey.from_dict(data)):
        assert [
            file
            for file in ("odd.py", "a/tests/b.py", "a/b_test.py", "a/b.py", "conftest.py")
            if found.is_test(file)
        ] == ["odd.py", "a/tests/b.py", "a/b_test.py", "conftest.py"]


# -------------------------------------------------------------------------------- what follows


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """(repository, what was mined of it): a shop whose modules are called like tests, and a past
    commit, and a test that fails."""
    files = {
        **lifts("shop/price.py", "shop/ab_test.py", "shop/tasks.py", "shop/testing/stub.py"),
        "shop/__init__.py": "",
        "shop/testing/__init__.py": "",
        "pytest.ini": SPECS["pytest.ini"] + "    test_*.py\n",
        **helped("specs/checks.py", "specs/account_spec.py"),
        "specs/__init__.py": "",
    }
    root = make_repo(
        tmp_path_factory.mktemp("shop"),
        {**files, "shop/ab_test.py": files["shop/ab_test.py"].replace("* more", "+ more")},
    )
    for name, text in (
        ("shop/ab_test.py", files["shop/ab_test.py"]),
        (
            "tests/test_lifts.py",
            files["tests/test_lifts.py"] + "\n\ndef test_today():\n    assert lift_2(1, 1) == 1\n",
        ),
    ):
        (root / name).write_text(text)
    git(root, "commit", "-qam", "Multiply")
    repository = open_repository(root)
    return repository, mine(
        repository,
        LIMITS,
        tmp_path_factory.mktemp("run"),
        MiningOptions(kinds=("blank", "mutate", "revert", "failing")),
        lambda *_: None,
    )


@pytest.mark.slow
def test_tasks_come_from_source_and_from_nothing_else(shop):
    _, mined = shop
    assert {(task.kind, task.file) for task in mined.tasks if task.kind != "mutate"} == {
        *(("blank", f"shop/{name}.py") for name in ("price", "ab_test", "tasks", "testing/stub")),
        ("blank", "bank/account.py"),
        ("revert", "shop/ab_test.py"),
        ("failing", "shop/tasks.py"),
    }
    assert mined.left_out["file of the tests"] == [
        "specs/checks.py (it lies among the tests and no source uses it)"
    ]
    named = {task.file: task.sources for task in mined.tasks}
    assert named == {
        file: () if file in ("shop/price.py", "bank/account.py") else (file,) for file in named
    }


@pytest.mark.slow
def test_edits_to_source_that_is_called_like_tests_are_judged_rightly(shop):
    repository, mined = shop
    tree, pairs, wanted = repository.snapshot, [], []
    for task in mined.tasks:
        if task.kind in ("blank", "revert") and task.sources:
            gold = read_text(tree / task.file)
            wrong = with_body(gold, find(gold, task.function), "    return 1")
            pairs += [(task, {task.file: gold}), (task, {task.file: wrong})]
            wanted += ["resolved", "failed"]
            assert task.hard, "what answers its calls cannot load it"
    with Judge(
        repository,
        LIMITS,
        Suite(
            preload=mined.survey.modules,
            test_files=mined.survey.test_files,
            roles=mined.survey.roles,
        ),
    ) as judge:
        assert [verdict.status for verdict in judge.judge_many(pairs)] == wanted
        # Whoever judges without what the survey saw must not take the source for tests either.
    with Judge(repository, LIMITS, Suite(test_files=mined.survey.test_files)) as judge:
        assert judge.judge(*pairs[0]).status == "resolved"


@pytest.mark.slow
def test_the_gate_keeps_tests_and_their_helpers_out(shop):
    repository, mined = shop
    tree = repository.snapshot
    stub = next(t for t in mined.tasks if t.file == "shop/testing/stub.py" and t.kind == "blank")
    wide = next(t for t in mined.tasks if t.kind == "failing")
    gold = stub.gold(tree)
    assert gate(gold, stub, tree) == gold
    patch = make(stub.broken(tree)[stub.file], gold[stub.file], stub.file)
    assert from_patch(patch, stub.broken(tree), tree) == gold
    for task in (stub, wide):
        for path in (
            "specs/checks.py",
            "specs/account_spec.py",
            "tests/test_lifts.py",
            "shop/ab_test.py",
            "bank/account.py",
        ):
            with pytest.raises(InvalidEdit):
                gate({**gold, path: ""}, task, tree)
    # A task of a run that did not know better, or one that somebody has written.
    for task in (replace(stub, sources=()), replace(wide, sources=())):
        with pytest.raises(InvalidEdit, match="may not be edited"):
            gate({task.file: gold.get(task.file, "x = 1\n")}, task, tree)
    forged = replace(wide, file="conftest.py", files=("conftest.py",), sources=("conftest.py",))
    (tree / "conftest.py").touch()
    try:
        with pytest.raises(InvalidEdit, match="may not be edited"):
            gate({"conftest.py": ""}, forged, tree)
    finally:
        (tree / "conftest.py").unlink()
    assert Task.from_dict(json.loads(json.dumps(stub.to_dict()))) == stub


@pytest.mark.slow
def test_what_answers_from_outside_sees_no_test_and_all_source(shop):
    repository, mined = shop
    task = next(t for t in mined.tasks if t.file == "shop/price.py" and t.kind == "blank")
    files, roles = mined.survey.test_files, mined.survey.roles
    assert set(Hidden(repository, Suite(test_files=files, roles=roles)).from_worker(task)) == {
        "specs",
        "tests",
    }
    unknown = Hidden(repository, Suite(test_files=files))
    assert "shop/testing" in unknown.from_worker(task)
    own = next(t for t in mined.tasks if t.file == "shop/testing/stub.py")
    needed = {"shop/testing", "shop/testing/stub.py", "shop/testing/__init__.py"}
    assert not needed & set(unknown.from_worker(own))


@pytest.mark.slow
def test_a_check_that_nobody_can_tell_from_source_is_no_task(tmp_path):
    """Its tests pass when it checks nothing: that is measured, and an edit that empties it would
    be rewarded."""
    root = make_repo(tmp_path / "p", helped("bank/checks.py", "tests/test_account.py"))
    mined = mine(
        open_repository(root),
        LIMITS,
        tmp_path,
        MiningOptions(kinds=("blank", "mutate")),
        lambda *_: None,
    )
    assert {task.function for task in mined.tasks} == {"Account.__init__", "Account.book", "booked"}
    left_out = mined.left_out["its tests pass with an empty body, too"]
    assert {name.partition("-")[0] for name in left_out} == {"blank", "mutate"}
    assert all("-bank.checks.check_account" in name for name in left_out)
