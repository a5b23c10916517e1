"""Mutants, undone commits and failing tests as tasks, on a repository with a past: what is mined,
and what the judge says of it."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import find, read_text, source_of
from sandbox.tasks.kinds import KINDS, Kind, kind_of
from sandbox.tasks.kinds.failing import MAX_ABOUT
from sandbox.tasks.kinds.mutate import MUTANTS
from sandbox.tasks.mine import MiningOptions, Survey, mine
from tests.conftest import ROOT, git, make_repo, run_cli
from tests.shop import make_shop, mined_shop

LIMITS = Limits(workers=1)


def mine_quietly(repository, folder, limit=0, seed=0, kinds=("blank",), since=""):
    folder.mkdir(exist_ok=True)
    return mine(
        repository,
        LIMITS,
        folder,
        MiningOptions(limit=limit, seed=seed, kinds=kinds, since=since),
        lambda *_: None,
    )


def timeless(tasks) -> list:
    return [replace(t, test_seconds=0.0) for t in tasks]


@pytest.fixture(scope="module")
def shop():
    """(repository, what was mined of all kinds, {kind: tasks}) of the shop"""
    repository, mined = mined_shop()
    return repository, mined, {kind: [t for t in mined.tasks if t.kind == kind] for kind in KINDS}


def by_message(root: str, tasks) -> dict:
    """{first line of the commit's message: task} of revert tasks"""
    return {
        git(Path(root), "log", "-1", "--format=%s", t.instance_id.rpartition(".")[2]).strip(): t
        for t in tasks
    }


@pytest.mark.slow
def test_mutants(shop):
    repository, mined, tasks = shop
    functions, of_function = {(t.file, t.function) for t in tasks["blank"]}, {}
    for task in tasks["mutate"]:
        (broken,), (gold,) = (
            task.broken(repository.snapshot).values(),
            task.gold(repository.snapshot).values(),
        )
        before, after = (source_of(text, find(text, task.function)) for text in (broken, gold))
        assert before != after and broken.replace(before, after) == gold
        of_function.setdefault((task.file, task.function), []).append(before)
        assert task.files == task.functions == () and task.instance_id.startswith(
            f"mutate-{task.file[:-3].replace('/', '.')}.{task.function}."
        )
    assert set(of_function) <= functions and len(tasks["mutate"]) > len(functions)
    assert all(len(set(states)) == len(states) <= MUTANTS for states in of_function.values())
    assert not any(t.function == "currency" for kind in ("blank", "mutate") for t in tasks[kind]), (
        "one constant is nothing to write"
    )


@pytest.mark.slow
def test_undone_commits(shop):
    repository, mined, tasks = shop
    found = by_message(repository.root, tasks["revert"])
    assert set(found) == {
        "An empty cart has a dearest thing, too (#12)",
        "A plus between prices",
        "Tax at any rate",
        "Refuse a discount that is none",
        "Count the things in the cart",
        "Nobody pays for the odd cents twice",
    }
    assert (
        mined.excluded["commit that does not apply any more"] == 1
        and mined.excluded["commit whose functions no passing test calls"] == 1
    )
    squash, counts, split = (
        found[m]
        for m in (
            "An empty cart has a dearest thing, too (#12)",
            "Count the things in the cart",
            "Nobody pays for the odd cents twice",
        )
    )
    assert (
        squash.files == ("shop/cart.py", "shop/money.py")
        and squash.functions == ("shop/cart.py::Cart.dearest", "shop/money.py::largest")
        and not squash.hard
    )
    assert (
        set(squash.FAIL_TO_PASS)
        == {
            "tests/test_money.py::test_largest_of_none",
            "tests/test_cart.py::test_dearest_of_nothing",
        }
        and squash.twin_tests
    )
    assert counts.files == ("shop/cart.py",) and counts.functions == (
        "shop/cart.py::Cart.add",
        "shop/cart.py::Cart.total",
    )
    assert (split.file, split.function, split.files, split.functions) == (
        "shop/money.py",
        "split",
        (),
        (),
    ) and split.hard
    assert (
        split.FAIL_TO_PASS == ("tests/test_money.py::test_split",)
        and "tests/test_money.py::test_split_evenly" in split.PASS_TO_PASS
    )


@pytest.mark.slow
def test_failing_tests(shop):
    repository, mined, tasks = shop
    order, currency = sorted(tasks["failing"], key=lambda t: t.function)
    assert currency.instance_id == "failing-tests.test_today.test_currency" and (
        currency.file,
        currency.function,
    ) == ("shop/money.py", "currency")
    assert (
        order.function == "Cart.lines"
        and order.files == ("shop/cart.py",)
        and len(order.functions) <= MAX_ABOUT
    )
    assert (
        order.FAIL_TO_PASS == ("tests/test_today.py::test_lines_in_the_order_of_the_cart",)
        and "tests/test_cart.py::test_lines" in order.PASS_TO_PASS
    )
    for task in (order, currency):
        assert (
            task.patch == task.twin_patch == ""
            and not task.hard
            and task.shown == task.FAIL_TO_PASS
            and task.gold(repository.snapshot) == {}
        )
        assert task.broken(repository.snapshot) == {
            path: read_text(repository.snapshot / path) for path in task.files
        }
    assert (
        mined.excluded["failing test that calls no function of the project"] == 1
        and mined.excluded["test failed"] == 3
    )


@pytest.mark.slow
def test_one_function_s_tasks_are_on_one_side(shop):
    _, mined, _ = shop
    sides = {}
    for task in mined.tasks:
        for function in task.about:
            sides.setdefault(function, set()).add(task.split)
    assert all(len(side) == 1 for side in sides.values()) and {t.split for t in mined.tasks} == {
        "train",
        "heldout",
    }


@pytest.mark.slow
def test_verdicts_on_tasks_about_whole_files(shop):
    repository, mined, tasks = shop
    tree = repository.snapshot
    squash = next(t for t in tasks["revert"] if len(t.files) == 2)
    currency = next(t for t in tasks["failing"] if t.function == "currency")
    money = read_text(tree / "shop/money.py")
    with Judge(
        repository, LIMITS, Suite(preload=mined.survey.modules, test_files=mined.survey.test_files)
    ) as judge:
        cases = [
            ("resolved", squash, squash.gold(tree)),
            ("failed", squash, squash.broken(tree)),
            ("failed", squash, {"shop/cart.py": squash.gold(tree)["shop/cart.py"]}),
            ("resolved", currency, {"shop/money.py": money.replace("Euro", "EUR")}),
            ("failed", currency, {"shop/money.py": money}),
            ("invalid", squash, {**squash.gold(tree), "tests/test_money.py": ""}),
            ("invalid", currency, {"shop/cart.py": ""}),
        ]
        assert [v.status for v in judge.judge_many([(task, edit) for _, task, edit in cases])] == [
            status for status, _, _ in cases
        ]


@pytest.mark.long
@pytest.mark.slow
def test_the_gold_edits_of_all_kinds_are_resolved_and_their_broken_states_are_not(shop):
    repository, mined, _ = shop
    tree = repository.snapshot
    with Judge(
        repository, LIMITS, Suite(preload=mined.survey.modules, test_files=mined.survey.test_files)
    ) as judge:
        golden = [t for t in mined.tasks if t.patch]
        assert {v.status for v in judge.judge_many([(t, t.gold(tree)) for t in golden])} == {
            "resolved"
        }
        assert {v.status for v in judge.judge_many([(t, t.broken(tree)) for t in mined.tasks])} == {
            "failed"
        }


@pytest.mark.long
@pytest.mark.slow
def test_mining_all_kinds_goes_on_from_where_it_was_cut_off(shop, tmp_path):
    repository, mined, _ = shop
    limited = mine_quietly(
        repository, tmp_path / "run", limit=3, kinds=("mutate", "revert", "failing")
    )
    lines = (tmp_path / "run/mining.jsonl").read_bytes().splitlines(keepends=True)
    again = mine_quietly(
        repository, tmp_path / "run", limit=3, kinds=("mutate", "revert", "failing")
    )
    assert (
        len(limited.tasks) == 3
        and again.tasks == limited.tasks
        and (tmp_path / "run/mining.jsonl").read_bytes() == b"".join(lines)
    )
    kept = [line for line in lines if b"revert" not in line]
    (tmp_path / "run/mining.jsonl").write_bytes(b"".join(kept) + lines[0][:30])
    more = mine_quietly(repository, tmp_path / "run", kinds=("revert", "failing"))
    assert (tmp_path / "run/mining.jsonl").read_bytes().startswith(b"".join(kept))
    expected = {t.instance_id: replace(t, split="") for t in timeless(mined.tasks)}
    assert {t.instance_id for t in more.tasks} >= {
        name for name in expected if not name.startswith(("blank", "mutate"))
    }
    assert [replace(t, split="") for t in timeless(more.tasks)] == [
        expected[t.instance_id] for t in more.tasks
    ]


@pytest.mark.slow
def test_parameters_are_one_task_and_so_are_commits_that_lead_to_one_state(tmp_path):
    source = "def up(x):\n    return x + 2\n\n\ndef down(x):\n    return x - 1\n"
    test = (
        "import pytest\nfrom core import down, up\n\n\n@pytest.mark.parametrize('x', [1, 2, "
        "3])\ndef test_up(x):\n    assert up(x) == x + 1 or x == 3\n\n\n"
        "def test_down():\n    assert down(1) == 0\n\n\n@pytest.fixture\ndef broken():\n    return "
        "down(None)\n\n\ndef test_set_up(broken):\n    pass\n"
    )
    root = make_repo(
        tmp_path / "p", {"core.py": source.replace("- 1", "- 2"), "test_core.py": test}
    )
    for number, text in enumerate([source, source.replace("- 1", "- 2"), source]):
        (root / "core.py").write_text(text)
        (root / "test_core.py").write_text(test + f"# {number}\n")
        git(root, "commit", "-qam", f"number {number}")
    found = mine_quietly(open_repository(root), tmp_path / "run", kinds=("revert", "failing"))
    assert {
        t.instance_id: (t.FAIL_TO_PASS, t.PASS_TO_PASS) for t in found.tasks if t.kind == "failing"
    } == {
        "failing-test_core.test_up": (
            ("test_core.py::test_up[1]", "test_core.py::test_up[2]"),
            ("test_core.py::test_up[3]",),
        ),
        "failing-test_core.test_set_up": (
            ("test_core.py::test_set_up",),
            ("test_core.py::test_down",),
        ),
    }
    assert list(by_message(root, [t for t in found.tasks if t.kind == "revert"])) == ["number 2"]


@pytest.mark.long
@pytest.mark.slow
def test_a_mutant_that_never_ends_is_no_task(tmp_path):
    root = make_repo(
        tmp_path / "p",
        {
            "core.py": "def count(n):\n    found = 0\n    while n > 0:\n        n -= 1\n        "
            "found += 1\n    return found\n",
            "test_core.py": "from core import count\n\n\ndef test_count():\n    assert count(3) == "
            "3\n",
        },
    )
    found = [
        mine_quietly(open_repository(root), tmp_path / f"run{seed}", kinds=("mutate",), seed=seed)
        for seed in range(3)
    ]
    assert any(
        mined.excluded.get("broken state hangs or ends the test process") for mined in found
    ) and all(mined.tasks for mined in found)


# --------------------------------------------------------------------------- what a person asks for


@pytest.mark.slow
def test_kinds_and_since_on_the_command_line(tmp_path):
    make_shop(tmp_path / "shop")
    for options, says in (
        (
            ["--kinds", "blank,nonsense"],
            f"'tasks.kinds' must be {' or '.join(KINDS)}, not ('blank', 'nonsense')",
        ),
        (["--kinds", ""], "tasks.kinds"),
        (["--since", "yesterday"], "must be a day such as 2025-01-31, not 'yesterday'"),
    ):
        done = run_cli(
            "tasks", "--repo", "shop", "--recipe", "nano", *options, cwd=tmp_path, check=2
        )
        assert says in done.stderr and not (tmp_path / "runs").exists()
    done = run_cli(
        "tasks",
        "--repo",
        "shop",
        "--recipe",
        "nano",
        "--kinds",
        "revert, failing",
        "--since",
        "2024-03-12",
        cwd=tmp_path,
    )
    rows = {
        line.split()[0]: line.split()[1:]
        for line in done.stdout.splitlines()
        if line.split()[:1] in (["revert"], ["failing"])
    }
    assert rows.keys() == {"revert", "failing"} and [
        sum(map(int, rows[kind][:2])) for kind in ("revert", "failing")
    ] == [1, 2]
    assert rows["failing"][2:] == ["0", "2", "0", "0"]
    assert rows["revert"][2:] == ["0", "1", "0", "1"]
    facts = json.loads(
        run_cli("tasks", "--run", "runs/latest", "--json", cwd=tmp_path).stdout.splitlines()[-1]
    )
    assert facts["kinds"] == {
        "failing": {"hard": 0, "soft": 2, "recorded": 0, "with_twins": 0},
        "revert": {"hard": 0, "soft": 1, "recorded": 0, "with_twins": 1},
    }


def test_where_there_is_nothing_of_a_kind(calc, tmp_path):
    found = Survey(
        passing=("t",),
        excluded={},
        seconds={"t": 0.1},
        functions=(("calc/core.py", 5, "add"),),
        calls={"t": (0,)},
        modules=(),
    )
    (tmp_path / "survey.json").write_text(json.dumps(found.to_dict()))
    for kinds, what in (
        (("revert", "failing"), "commit or failing test"),
        (("failing",), "failing test"),
        (("revert",), "commit"),
    ):
        with pytest.raises(UsageError, match=f"No {what} of .* can be made a task: there is none"):
            mine_quietly(open_repository(calc), tmp_path, kinds=kinds)


# ------------------------------------------------------------------------------- one file, one line

HALVED = '''"""`halve`: the second half of a function's statements is taken out."""

from functools import partial

from sandbox import patches
from sandbox.tasks.ground import instance_id
from sandbox.tasks.kinds import Draft, Kind, Unfit
from sandbox.source import body_nodes, read_text


def drafts(ground):
    return [
        Draft(
            instance_id("halve", c.file, c.function.qualname), partial(_task, ground, c)
        )
        for c in ground.candidates
    ]


def _task(ground, candidate):
    body, file = body_nodes(candidate.function), candidate.file
    if len(body) < 2:
        raise Unfit("function with one statement")
    intact = read_text(ground.repository.snapshot / file)
    lines = intact.split("\\n")
    del lines[body[len(body) // 2].lineno - 1 : body[-1].end_lineno]
    name = instance_id("halve", file, candidate.function.qualname)
    patch = patches.make("\\n".join(lines), intact, file)
    return ground.task(
        "halve", name, file, candidate.function.qualname, patch, candidate.tests
    )


def statement(task, tree, failures, message):
    return f"The second half of `{task.function}` is missing, and {len(failures)} tests say so."


KIND = Kind("function", drafts, statement)
'''


@pytest.mark.slow
def test_another_kind_is_one_file_and_one_line(calc, tmp_path):
    """A copy of the program, one file more, one line more in the registry, and all that is made of
    a kind is there."""
    for part in ("coldstart.py", "recipes", "sandbox"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part)
    (tmp_path / "sandbox/tasks/kinds/halve.py").write_text(HALVED)
    registry = tmp_path / "sandbox/tasks/kinds/__init__.py"
    text = registry.read_text()
    last = next(line for line in text.split("\n") if line.startswith('    "failing": '))
    registry.write_text(text.replace(last, f'{last}\n    "halve": "half of a body is missing",'))

    def run(*words):
        return subprocess.run(
            [sys.executable, "coldstart.py", "tasks", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    assert "halve: half of a body is missing" in " ".join(run("--help").stdout.split())
    done = run(
        *("--repo", str(calc), "--recipe", "nano", "--kinds", "blank,halve"),
        *("--set", "prompt.style=blocks", "--prompts", "prompts", "--json"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"blank", "halve"} == found["counts"].keys()
    assert found["excluded"]["function with one statement"] > 0
    tasks = [task for task in found["tasks"] if task["kind"] == "halve"]
    assert "halve-calc.core.mean" in {task["instance_id"] for task in tasks}
    prompt = (tmp_path / "prompts" / "halve-calc.core.mean.txt").read_text()
    assert re.search(r"The second half of `mean` is missing, and [1-9]\d* tests say so.", prompt)
    assert "no data" in prompt and "sum(xs) / len(xs)" not in prompt


def test_every_file_is_a_kind_and_every_kind_a_file():
    files = {path.stem for path in (ROOT / "sandbox/tasks/kinds").glob("*.py")} - {"__init__"}
    assert files == set(KINDS) and all(isinstance(kind_of(name), Kind) for name in KINDS)


def test_a_kind_that_there_is_not():
    """Such as another version of coldstart had; and nothing is imported by its name."""
    for name in ("halve", "__init__", "blank.patches", ""):
        with pytest.raises(UsageError, match="There is no kind of task called .*only blank, "):
            kind_of(name)
