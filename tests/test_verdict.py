"""Verdicts: what is resolved, what is not and why, and that each is given once."""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from sandbox import jsonl, patches
from sandbox.errors import HarnessError, UsageError
from sandbox.jail.choice import jail_notice, open_jail
from sandbox.jail.layout import INSIDE
from sandbox.judge.gate import InvalidEdit
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits, Verdict, read_reply
from sandbox.repo import open_repository
from sandbox.snapshot import content_hash
from sandbox.source import blanked, find, read_text
from sandbox.tasks.task import Task
from tests.conftest import make_repo

LIMITS = Limits(workers=2, timeout=6.0)
TEST = "tests/test_core.py::"
TESTS = {
    "add": ("test_add", "test_add_negative"),
    "mean": ("test_mean[xs0-2]", "test_mean[xs1-5]", "test_mean_empty"),
    "Counter.up": ("TestCounter::test_up",),
    "area": ("test_area",),
}
TEST_FILES = ("tests/test_core.py",)


@pytest.fixture(scope="module")
def repository(calc):
    return open_repository(calc)


@pytest.fixture(scope="module")
def tasks(repository) -> dict[str, Task]:
    """A task for each function of TESTS, as mining would make it."""
    intact = read_text(repository.snapshot / "calc/core.py")
    return {
        name: Task(
            instance_id=f"blank-calc.core.{name}",
            kind="blank",
            split="train",
            repo="calc",
            base_commit=repository.commit,
            file="calc/core.py",
            function=name,
            patch=patches.make(blanked(intact, find(intact, name)), intact, "calc/core.py"),
            FAIL_TO_PASS=tuple(TEST + t for t in tests),
            PASS_TO_PASS=(),
            shown=(),
            problem_statement="",
            test_seconds=0.05,
        )
        for name, tests in TESTS.items()
    }


@pytest.fixture(scope="module")
def judge(repository):
    with Judge(repository, LIMITS, Suite(test_files=TEST_FILES)) as judge:
        yield judge


def edit_of(task: Task, repository, body: str) -> dict[str, str]:
    """The broken file with `body` as the function's, at four spaces."""
    from sandbox.source import with_body

    text = task.broken(repository.snapshot)[task.file]
    return {task.file: with_body(text, find(text, task.function), body)}


@pytest.fixture
def verdict_on(judge, tasks, repository):
    return lambda name, body: judge.judge(tasks[name], edit_of(tasks[name], repository, body))


# ------------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "mean",
        pytest.param("Counter.up", marks=pytest.mark.slow),
        pytest.param("area", marks=pytest.mark.slow),
    ],
)
def test_the_gold_edit_is_resolved(judge, tasks, repository, name):
    task = tasks[name]
    verdict = judge.judge(task, {task.file: read_text(repository.snapshot / task.file)})
    assert (verdict.status, verdict.stage, verdict.reward, verdict.share_passed) == (
        "resolved",
        "confirm",
        1.0,
        1.0,
    )
    assert (
        verdict.tests == dict.fromkeys(task.FAIL_TO_PASS, "passed")
        and verdict.instance_id == task.instance_id
        and verdict.seconds > 0
    )


def test_another_right_edit_is_resolved(verdict_on):
    assert (
        verdict_on(
            "mean",
            "    n = len(xs)\n    if n == 0:\n        raise ValueError\n    return sum(xs) / n",
        ).status
        == "resolved"
    )


@pytest.mark.parametrize("name", TESTS)
def test_the_broken_state_fails(judge, tasks, repository, name):
    verdict = judge.judge(tasks[name], tasks[name].broken(repository.snapshot))
    assert (verdict.status, verdict.stage, verdict.reward, verdict.share_passed) == (
        "failed",
        "screen",
        0.0,
        0.0,
    )


def test_a_wrong_edit_fails_and_the_reason_names_the_test(verdict_on):
    verdict = verdict_on("mean", "    return sum(xs) / len(xs)")
    assert verdict.status == "failed" and verdict.reward == 0.0
    assert (
        TEST + "test_mean_empty" in verdict.reason
        and "failed" in verdict.reason
        and "1 of 3" in verdict.reason
    )
    assert (
        verdict.tests[TEST + "test_mean_empty"] == "failed"
        and verdict.tests[TEST + "test_mean[xs0-2]"] == "passed"
    )
    assert verdict.share_passed == pytest.approx(2 / 3)


@pytest.mark.slow
def test_an_endless_loop_is_a_timeout(verdict_on):
    started = time.monotonic()
    verdict = verdict_on("add", "    while True:\n        pass")
    assert (verdict.status, verdict.reward, verdict.tests) == ("timeout", 0.0, {})
    assert LIMITS.timeout <= time.monotonic() - started < LIMITS.timeout + 10


def test_a_syntax_error_is_invalid(judge, tasks, repository):
    text = tasks["add"].broken(repository.snapshot)["calc/core.py"]
    verdict = judge.judge(tasks["add"], {"calc/core.py": text + "\ndef (:\n"})
    assert (verdict.status, verdict.stage, verdict.tests) == (
        "invalid",
        "gate",
        {},
    ) and "does not parse" in verdict.reason


@pytest.mark.parametrize(
    "path", ["tests/test_core.py", "conftest.py", "calc/__init__.py", "../x.py"]
)
def test_an_edit_to_anything_else_is_invalid(judge, tasks, repository, path):
    gold = {
        "calc/core.py": read_text(repository.snapshot / "calc/core.py"),
        path: "def test_add():\n    pass\n",
    }
    verdict = judge.judge(tasks["add"], gold)
    assert (verdict.status, verdict.stage, verdict.reward) == (
        "invalid",
        "gate",
        0.0,
    ) and path in verdict.reason


def test_a_reply_with_no_edit_is_invalid(judge, tasks):
    verdict = judge.judge_many([(tasks["add"], InvalidEdit("there is nothing in it"))])[0]
    assert (verdict.status, verdict.stage, verdict.reason) == (
        "invalid",
        "gate",
        "there is nothing in it.",
    )


ENDINGS = [
    "    import sys; sys.exit(0)",
    "    raise SystemExit(0)",
    "    import os; os._exit(0)",
    "    import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "    import pytest; pytest.skip()",
    "    import pytest; pytest.xfail()",
    "    import pytest; pytest.exit('done', returncode=0)",
    "    import unittest; raise unittest.SkipTest",
    "    raise KeyboardInterrupt",
    "    import ctypes; ctypes.string_at(0)",
    "    import os\n    if os.fork() == 0: return a + b\n    os._exit(0)",
    "    return a +",
    "    yield a + b",
    "    import sys; sys.stdout.write('1 passed'); return None",
]


@pytest.mark.parametrize("body", ENDINGS)
def test_a_way_out_of_the_test_is_no_way_in(verdict_on, body):
    try:
        verdict = verdict_on("add", body)
    except SyntaxError:
        return  # the helper of this test cannot even put it in its place
    assert verdict.status in ("failed", "invalid") and verdict.reward == 0.0


@pytest.mark.parametrize(
    "line",
    [
        "import os; os._exit(0)",
        "import pytest; pytest.skip(allow_module_level=True)",
        pytest.param("import sys; sys.exit(0)", marks=pytest.mark.slow),
        pytest.param("raise KeyboardInterrupt", marks=pytest.mark.slow),
    ],
)
def test_a_way_out_of_the_import_is_no_way_in(judge, tasks, repository, line):
    """The gate takes helpers of the edit: what they do at import is judged by the tests alone."""
    gold = read_text(repository.snapshot / "calc/core.py")
    helper = "class Helper:\n    " + line.replace("; ", "\n    ") + "\n"
    verdict = judge.judge(
        tasks["add"], {"calc/core.py": gold.replace("import math\n", "import math\n\n\n" + helper)}
    )
    assert verdict.status == "failed" and verdict.reward == 0.0


@pytest.mark.slow
def test_a_helper_and_an_import_that_are_new(judge, tasks, repository):
    gold = read_text(repository.snapshot / "calc/core.py")
    text = gold.replace(
        "import math\n",
        "import math\nimport operator\n\n\ndef both(a, b):\n    return operator.add(a, b)\n",
    ).replace("return a + b", "return both(a, b)")
    assert judge.judge(tasks["add"], {"calc/core.py": text}).status == "resolved"


def test_an_edit_works_on_no_other_task(judge, tasks, repository):
    """What the edit changes elsewhere in the file is not taken, so a mean mended on the side is
    mended for nothing."""
    edit = {
        "calc/core.py": read_text(repository.snapshot / "calc/core.py").replace(
            "return a + b", "return 0"
        )
    }
    assert judge.judge(tasks["mean"], edit).status == "resolved"
    assert judge.judge(tasks["add"], edit).status == "failed"


@pytest.mark.parametrize(
    "reply, status",
    [
        ({"timeout": True}, "timeout"),
        ({"died": "of hunger"}, "failed"),
        ({"outcomes": {}}, "failed"),
        ({"outcomes": {"a": "passed"}}, "failed"),
        ({"outcomes": {"a": "passed", "b": "skipped"}}, "failed"),
        ({"outcomes": {"a": "passed", "b": "xpassed"}}, "failed"),
        ({"outcomes": {"a": "passed", "b": "passed"}}, "resolved"),
        ({"outcomes": {"a": "passed", "b": "passed", "c": "failed"}}, "resolved"),
    ],
)
def test_every_named_test_must_have_passed(reply, status):
    assert read_reply(reply, ("a", "b"))[0] == status


# ----------------------------------------------------------------------- each verdict is given once


@pytest.fixture
def temporary(monkeypatch):
    """A folder of temporary files for one test alone; root's jail must get through to it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def jail_folders() -> set[str]:
    return {p.name for p in Path(tempfile.gettempdir()).glob("coldstart-jail-*")}


@pytest.mark.slow
def test_the_same_edit_is_judged_once_and_remembered(repository, tasks, tmp_path, temporary):
    memory, task = tmp_path / "verdicts.jsonl", tasks["add"]
    gold = {task.file: read_text(repository.snapshot / task.file)}
    same = {
        task.file: gold[task.file].replace("def unused(x):", "def unused(x, y=1):")
    }  # after the gate it is the gold edit
    with Judge(repository, LIMITS, memory=memory) as judge:
        first, twin = judge.judge_many([(task, gold), (task, same)])
        assert first == twin and len(jsonl.read(memory)) == 1
        assert judge.judge(task, gold) == first and len(jsonl.read(memory)) == 1
    before = jail_folders()
    with Judge(repository, LIMITS, memory=memory) as judge:
        assert judge.judge(task, gold) == first
        assert jail_folders() <= before, "a jail was started for a verdict that is known"
        wrong = judge.judge(task, edit_of(task, repository, "    return 0"))
    assert wrong.status == "failed" and len(jsonl.read(memory)) == 2
    line = jsonl.read(memory)[0]
    assert (first.tier, line["tier"]) == ("forked", "warm"), "files have the tiers' first names"
    assert (
        line["status"] == "resolved"
        and line["reward"] == 1.0
        and line["instance_id"] == task.instance_id
    )


@pytest.mark.slow
def test_a_torn_last_line_is_dropped(repository, tasks, tmp_path):
    memory, task = tmp_path / "verdicts.jsonl", tasks["add"]
    with Judge(repository, LIMITS, memory=memory) as judge:
        judge.judge(task, task.broken(repository.snapshot))
    whole = memory.read_bytes()
    memory.write_bytes(whole + b'{"key": "half a li')
    with Judge(repository, LIMITS, memory=memory) as judge:
        assert judge.judge(task, edit_of(task, repository, "    return 0")).status == "failed"
    assert memory.read_bytes().startswith(whole) and len(memory.read_bytes().splitlines()) == 2
    assert all(json.loads(line) for line in memory.read_bytes().splitlines())


@pytest.mark.parametrize(
    "line", [b"{not json}", b"[1, 2]", b"3", b'{"key": "k"}', b"\0\0\0", b'{"status": "resolved"}']
)
def test_a_damaged_line_is_refused(repository, tmp_path, line):
    memory = tmp_path / "verdicts.jsonl"
    memory.write_bytes(
        line
        + b"\n"
        + jsonl.dumps(
            {"key": "k", **Verdict("t", "failed", "screen", "", {}, 0.1).to_dict()}
        ).encode()
        + b"\n"
    )
    with pytest.raises(UsageError, match="verdicts.jsonl is damaged"):
        Judge(repository, LIMITS, memory=memory)


@pytest.mark.slow
def test_many_verdicts_come_in_the_order_of_the_pairs(judge, tasks, repository):
    pairs, wanted = [], []
    for i in range(2):
        for name, body in (
            ("add", f"    return a + b + {i} - {i}"),
            ("add", f"    return a + b + {i + 1}"),
            ("area", f"    return {i} or math.pi * r ** 2"),
        ):
            pairs.append((tasks[name], edit_of(tasks[name], repository, body)))
            wanted.append(
                (
                    tasks[name].instance_id,
                    "resolved"
                    if "or math" not in body
                    and f"- {i}" in body
                    or body == "    return 0 or math.pi * r ** 2"
                    else "failed",
                )
            )
    pairs.insert(5, (tasks["add"], InvalidEdit("no")))
    wanted.insert(5, (tasks["add"].instance_id, "invalid"))
    seen = []
    verdicts = judge.judge_many(pairs, on_progress=lambda done, total: seen.append((done, total)))
    assert [(v.instance_id, v.status) for v in verdicts] == wanted
    assert seen == [(i, 6) for i in range(1, 7)]
    assert judge.judge_many([]) == []


@pytest.mark.slow
def test_judging_leaves_nothing_behind(repository, tasks, temporary):
    folders, tree = jail_folders(), content_hash(repository.snapshot)
    children = own_children()
    with Judge(repository, LIMITS, Suite(test_files=TEST_FILES)) as judge:
        judge.judge_many(
            [
                (task, {task.file: read_text(repository.snapshot / task.file)})
                for task in tasks.values()
            ]
        )
        assert jail_folders() - folders and own_children() - children
    assert jail_folders() <= folders and own_children() <= children
    assert content_hash(repository.snapshot) == tree
    # Closed in the middle of its work, and with no work at all.
    judge = Judge(repository, LIMITS)
    future = judge.processes.submit(judge.run, {"ids": list(tasks["add"].tests)})
    judge.close()
    assert future.done()
    Judge(repository, LIMITS).close()
    assert jail_folders() <= folders and own_children() <= children


def own_children() -> set[int]:
    found = set()
    for tasks in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        try:
            found.update(map(int, tasks.read_text().split()))
        except FileNotFoundError:  # a thread that has ended meanwhile
            pass
    return found


def test_code_that_cannot_be_found_alone_is_no_patch():
    """As that of a generic function, which Python 3.12 compiles inside another code object: a fork
    that goes on without it would judge the intact function."""
    source = "def first(xs):\n    return xs[0]\n"
    script = (
        "import function_patches\n"
        f"source = {source!r}\nnames = {{}}\nexec(source, names)\n"
        "def compiled(name):\n"
        "    patch = {'chain': [name], 'line': 1, 'imports': ''}\n"
        "    code = names['first'].__code__\n"
        "    return function_patches.compiled(code, patch, source, None)\n"
        "assert compiled('first').co_code == names['first'].__code__.co_code\n"
        "try:\n    compiled('second')\nexcept LookupError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=INSIDE, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "refused\n", done.stderr


# ------------------------------------------------------------------------- what surrounds the tests


def test_a_project_whose_tests_need_their_surroundings(tmp_path):
    """conftest files, data files, settings and other modules of the project are the snapshot's
    own."""
    root = make_repo(
        tmp_path / "p",
        {
            "lib/__init__.py": "",
            "lib/core.py": "from pathlib import Path\n\nfrom lib.rest import base\n\n\ndef "
            "load(name):\n    return base() + Path(name).read_text()\n",
            "lib/rest.py": "def base():\n    return '>'\n",
            "data/a.txt": "hello",
            "conftest.py": "import os\nimport pytest\n\n\n@pytest.fixture(autouse=True)\ndef "
            "here(monkeypatch):\n    monkeypatch.setenv('FROM_CONFTEST', '1')\n",
            "pytest.ini": "[pytest]\nmarkers =\n    special\naddopts = "
            "--strict-markers\nfilterwarnings = error\n",
            "tests/test_load.py": "import os\nimport pytest\nfrom lib.core import "
            "load\n\n\n@pytest.mark.special\ndef test_load():\n    assert "
            "os.environ['FROM_CONFTEST']\n"
            "    assert load('data/a.txt') == '>hello'\n",
        },
    )
    repository = open_repository(root)
    intact = read_text(repository.snapshot / "lib/core.py")
    task = Task(
        instance_id="t",
        kind="blank",
        split="train",
        repo="p",
        base_commit="",
        file="lib/core.py",
        function="load",
        FAIL_TO_PASS=("tests/test_load.py::test_load",),
        patch=patches.make(blanked(intact, find(intact, "load")), intact, "lib/core.py"),
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="",
        test_seconds=0.1,
    )
    with Judge(repository, LIMITS, Suite(test_files=("tests/test_load.py",))) as judge:
        assert judge.judge(task, {"lib/core.py": intact}).status == "resolved"
        verdict = judge.judge(task, task.broken(repository.snapshot))
        assert verdict.status == "failed" and verdict.tests == {
            "tests/test_load.py::test_load": "failed"
        }


FORGED = [
    "{'ask': {'ready': True}}",
    "{'progress': 1}",
    "{'outcomes': 5}",
    "{'outcomes': {}, 'harness': 'broken'}",
    "{'outcomes': {}, 'entered': True}",
    "{'timeout': False, 'died': 'of joy', 'outcomes': {}}",
    "{'unsupported': 'x'}",
    "{'outcomes': {n: chr(27) + '[2J' for n in NAMES}}",
    "[]",
    "'x' * 5_000_000",
]


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["fresh", "in-process"])
def test_who_stops_waits_for_no_verdict(repository, tasks, temporary, tier):
    """Neither for the test that is run nor for a jail that is being started."""
    task = tasks["add"]
    endless = edit_of(task, repository, "    while True:\n        pass")
    with Judge(repository, replace(LIMITS, timeout=60.0), Suite(test_files=TEST_FILES)) as judge:
        if tier == "fresh":
            judge._screening.fresh_alone.add(task.instance_id)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(judge.judge, task, endless)
            time.sleep(1.0)
            judge.stop()
            began = time.monotonic()
            with pytest.raises(HarnessError):
                waiting.result(timeout=20)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "data",
    [
        *(
            pytest.param(f"json.dumps({frame}).encode()", marks=[pytest.mark.slow] * (number > 0))
            for number, frame in enumerate(FORGED)
        ),
        "b'[' * 100_000",
    ],
)
def test_a_forged_frame_confuses_nobody(repository, tasks, judge, data):
    """The judged code writes a frame of the harness's own protocol to every descriptor it finds."""
    body = (
        f"import json, os, struct\nNAMES = {tasks['add'].FAIL_TO_PASS!r}\ndata = {data}\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try:\n"
        "        os.write(int(name), struct.pack('>I', len(data)) + data)\n"
        "    except OSError:\n"
        "        pass\n"
        "return a + b"
    )
    verdict = judge.judge(tasks["add"], edit_of(tasks["add"], repository, body))
    assert (verdict.status, verdict.reward) == ("failed", 0.0)
    assert set(verdict.tests.values()) <= {"failed", "missing"} and verdict.reason.isprintable()
    assert (
        judge.judge(
            tasks["add"], edit_of(tasks["add"], repository, f"return a + b + 0  # {data[:40]!r}")
        ).status
        == "resolved"
    )


# -------------------------------------------------------------- how fast, and whether that is right


def test_the_tier_is_the_fastest_that_may_judge_the_edit(judge, tasks, repository):
    task = tasks["area"]
    gold = read_text(repository.snapshot / task.file)
    inside = judge.judge(task, edit_of(task, repository, "    return 3 * math.pi"))
    helper = judge.judge(
        task,
        {
            task.file: gold.replace(
                "import math\n", "import math\n\n\ndef three():\n    return 3\n"
            ).replace("math.pi * r ** 2", "three()")
        },
    )
    nothing = judge.judge_many([(task, InvalidEdit("no"))])[0]
    assert [v.tier for v in (inside, helper, nothing)] == ["in-process", "forked", ""]
    assert 0 < inside.cpu_seconds and inside.stage == helper.stage == "screen"


def test_no_tier_puts_the_text_of_a_failure_together(judge, tasks, repository):
    """The edit's code runs where one does, and here it ends the process: the tiers would differ."""
    task = tasks["mean"]
    files = edit_of(
        task,
        repository,
        "    class Loud(Exception):\n        def __str__(self):\n            import os\n           "
        " os._exit(3)\n"
        "    raise Loud",
    )
    many = judge.measuring
    [fast], [forked] = many.screen_many([(task, files)]), many.forked_many([(task, files)])
    assert (fast["tier"], forked["tier"]) == ("in-process", "forked")
    assert (
        read_reply(fast, task.tests)
        == read_reply(forked, task.tests)
        == ("failed", ANY, dict.fromkeys(task.tests, "failed"))
    )


@pytest.mark.slow
def test_a_fast_verdict_that_a_fresh_one_contradicts(tmp_path):
    """The tests pass only soon after their module was loaded, so a process that keeps them
    collected sees them fail."""
    root = make_repo(
        tmp_path / "p",
        {
            "young.py": "import time\n\nBORN = time.monotonic()\n\n\ndef young(x):\n    return "
            "time.monotonic() - BORN < x\n",
            "test_young.py": "from young import young\n\n\ndef test_young():\n    assert "
            "young(1.0)\n",
        },
    )
    repository = open_repository(root)
    intact = read_text(repository.snapshot / "young.py")
    task = Task(
        instance_id="t",
        kind="blank",
        split="train",
        repo="p",
        base_commit="",
        file="young.py",
        function="young",
        FAIL_TO_PASS=("test_young.py::test_young",),
        patch=patches.make(blanked(intact, find(intact, "young")), intact, "young.py"),
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="",
        test_seconds=0.1,
    )
    notes = []
    with Judge(
        repository,
        Limits(workers=1, recheck=1.0),
        Suite(test_files=("test_young.py",)),
        on_note=notes.append,
    ) as judge:
        assert judge.judge(task, task.broken(repository.snapshot)).status == "failed" and not notes
        time.sleep(1.2)
        verdict = judge.judge(task, {"young.py": intact})
        assert (verdict.status, verdict.tier) == ("resolved", "fresh")
        assert (
            len(notes) == 1
            and "t: the in-process tier and a fresh process do not agree" in notes[0]
        )
        assert (
            judge.judge(task, {"young.py": intact.replace("< x", "<= x")}).tier == "fresh"
            and len(notes) == 1
        )


def test_what_the_originals_say_counts(judge, tasks, repository):
    """An edit that passes once and not again."""
    body = (
        "import os\nif len(os.listdir('/proc/self/fd')) < 200 and 'in_process' in sys.modules:\n   "
        " "
        "return a + b\nreturn 0"
    )
    verdict = judge.judge(tasks["add"], edit_of(tasks["add"], repository, "import sys\n" + body))
    assert (verdict.status, verdict.stage, verdict.tier) == (
        "failed",
        "confirm",
        "in-process",
    ) and "not again in a fresh process" in verdict.reason


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """The tiers of the jails that are started from now on."""
    tiers = []

    def opened(layout, tier, *rest):
        tiers.append(tier)
        return open_jail(layout, tier, *rest)

    monkeypatch.setattr("sandbox.judge.jails.open_jail", opened)
    return tiers


@pytest.mark.slow
@pytest.mark.parametrize("split, fresh", [("train", []), ("heldout", ["fresh"])])
def test_held_out_soft_tasks_are_confirmed_in_a_jail_of_their_own(
    repository, tasks, started, split, fresh
):
    """What passed the screen, and nothing else. Both splits have the same verdicts."""
    task = replace(tasks["area"], split=split)
    right, wrong = "    return math.pi * r ** 2 + 0", "    return 3 * math.pi"
    once = "    return math.pi * r ** 2 if 'in_process' in __import__('sys').modules else 0"
    said = {}
    with Judge(repository, replace(LIMITS, recheck=0.0), Suite(test_files=TEST_FILES)) as judge:
        # A verdict on a task of the other split is another one.
        other = replace(task, split="heldout" if split == "train" else "train")
        judge.judge(other, edit_of(task, repository, right))
        for name, body in (("right", right), ("wrong", wrong), ("once", once)):
            started.clear()
            said[name] = judge.judge(task, edit_of(task, repository, body))
            wanted = [] if name == "wrong" else ["fresh"] if jail_notice() else fresh
            assert [tier for tier in started if tier == "fresh"] == wanted
    assert {(name, v.status, v.stage, v.tier) for name, v in said.items()} == {
        ("right", "resolved", "confirm", "in-process"),
        ("wrong", "failed", "screen", "in-process"),
        ("once", "failed", "confirm", "in-process"),
    }


@pytest.mark.slow
def test_held_out_hard_tasks_are_confirmed_as_others_are(mined_calc, started):
    """They are judged from outside as well."""
    repository, _, mined = mined_calc
    task = next(replace(task, split="heldout") for task in mined.tasks if task.function == "add")
    with Judge(repository, replace(LIMITS, recheck=0.0), Suite(test_files=TEST_FILES)) as judge:
        verdict = judge.judge(task, edit_of(task, repository, "    return a + b + 0"))
    assert (
        task.hard and verdict.status == "resolved" and sorted(started) == ["forked", "in-process"]
    )
