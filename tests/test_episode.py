"""A task as an environment: what may be known of a reply that failed, and when it is over. The
verdicts are those of the real jail, but for the cases that it does not come to."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sandbox import patches
from sandbox.episode import Episode, Feedback, judge_reply
from sandbox.errors import HarnessError
from sandbox.judge.edits import from_reply
from sandbox.judge.settings import Suite
from sandbox.judge.showing import Shown
from sandbox.judge.verdict import Judge, Limits, Verdict
from sandbox.repo import open_repository
from sandbox.source import blanked, find, read_text
from sandbox.tasks.asking import NO_FILE
from sandbox.tasks.feedback import MAX_CHARACTERS
from sandbox.tasks.task import Task
from tests.asked import messages
from tests.conftest import CALC, git, make_repo

SHOWN, HIDDEN = "tests/test_core.py::test_add", "tests/test_core.py::test_add_negative"


def block(body: str) -> str:
    return f"A reason.\n\n```python\ndef add(a, b):\n    {body}\n```\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return open_repository(make_repo(tmp_path_factory.mktemp("calc"), CALC))


@pytest.fixture(scope="module")
def task(repository) -> Task:
    """`add` without its body; one of its two tests is hidden."""
    intact = read_text(repository.snapshot / "calc/core.py")
    return Task(
        instance_id="blank-calc.core.add",
        kind="blank",
        split="train",
        repo="calc",
        base_commit=repository.commit,
        file="calc/core.py",
        function="add",
        patch=patches.make(blanked(intact, find(intact, "add")), intact, "calc/core.py"),
        FAIL_TO_PASS=(SHOWN, HIDDEN),
        PASS_TO_PASS=(),
        shown=(SHOWN,),
        problem_statement="The body of `add` is missing.",
        test_seconds=0.05,
    )


@pytest.fixture(scope="module")
def judge(repository):
    limits = Limits(workers=1, timeout=20.0)
    with Judge(repository, limits, Suite(test_files=("tests/test_core.py",))) as judge:
        yield judge


def tells_of_hidden_test(text: str) -> bool:
    return any(part in text for part in ("negative", "add(1, -2)", "== -1"))


@pytest.mark.slow
def test_an_episode_of_four_turns(judge, task, repository):
    asked = messages(task, repository.snapshot)
    assert not tells_of_hidden_test(asked[0]["content"])
    episode = Episode(judge, task, asked, "blocks", turns=4)
    assert episode.observe() == asked and not episode.is_over

    first = episode.step("<think>\nSubtract?\n</think>\n\n" + block("return a - b"))
    assert first == Feedback(
        f"These tests fail:\n- `{SHOWN}`:\n  assert -1 == 3\n  +  where -1 = add(1, 2)\n\n"
        "Answer again with the whole function `add`.",
        "failed",
        "1 of 1 shown tests do not pass.",
    )
    second = episode.step("READ calc/core.py:5-7")
    assert second.status == "asked" and second.text == (
        "calc/core.py:5-7 of 41 lines\ndef add(a, b):\n"
        '    """Return a plus b."""\n    raise NotImplementedError'
    )
    third = episode.step("\nSEARCH math.pi \n")
    assert third.text == "calc/core.py:36: return math.pi * r ** 2"
    said = episode.observe()
    assert [m["role"] for m in said] == ["user"] + ["assistant", "user"] * 3
    assert [m["content"] for m in said[2::2]] == [first.text, second.text, third.text]
    assert said[1]["content"] == block("return a - b"), "thoughts are not shown again"

    last = episode.step(block("return a + b"))
    assert isinstance(last, Verdict) and last.status == "resolved" and episode.is_over
    assert episode.turns_used == 4
    assert not any(tells_of_hidden_test(m["content"]) for m in said)
    with pytest.raises(ValueError, match="over"):
        episode.step(block("return a + b"))


def test_it_ends_once_the_shown_tests_pass(judge, task):
    episode = Episode(judge, task, [], "blocks", turns=5)
    outcome = episode.step(block("return 3"))
    assert isinstance(outcome, Verdict) and outcome.status == "failed" and episode.is_over
    assert outcome.tests[HIDDEN] == "failed"


def test_the_jail_of_the_shown_tests_has_no_other_tests(judge, task, repository):
    """What an assertion says is shown, and the reply may put into it whatever it can read."""
    reads = "import glob; assert 0, [open(f).read() for f in glob.glob('**/*.py', recursive=True)]"
    episode = Episode(judge, task, messages(task, repository.snapshot), "blocks", turns=2)
    feedback = episode.step(block(reads))
    assert "AssertionError" in feedback.text and not tells_of_hidden_test(feedback.text)
    long = "assert 0, ascii(open('tests/test_core.py').read())"
    assert feedback.text != (other := Episode(judge, task, [], "blocks", 2).step(block(long))).text
    assert "def test_add():" in other.text and "Counter" not in other.text
    assert "a + b" not in feedback.text + other.text


def test_what_has_no_edit_says_why(judge, task):
    episode = Episode(judge, task, [], "blocks", turns=2)
    feedback = episode.step("I do not know.")
    assert isinstance(feedback, Feedback) and feedback.status == "invalid"
    assert f"This answer cannot be used: {feedback.reason}" in feedback.text
    assert isinstance(episode.step("I still do not."), Verdict), "the last turn says no more"


@pytest.mark.parametrize(
    "style, question", [("blocks", "READ calc/core.py"), ("body", "SEARCH (a)")]
)
def test_a_question_in_the_last_turn_is_no_edit(judge, task, style, question):
    episode = Episode(judge, task, [], style, turns=2)
    assert episode.step(question).status == "asked"
    outcome = episode.step(question)
    assert (outcome.status, outcome.stage) == ("invalid", "gate") and "asks" in outcome.reason


def test_a_fork_goes_on_by_itself(judge, task):
    episode = Episode(judge, task, [], "blocks", turns=3)
    episode.step("READ nothing")
    before = episode.observe()
    other = episode.fork()
    other.step("SEARCH def add")
    assert (other.turns_used, episode.turns_used) == (2, 1) and episode.observe() == before
    assert len(other.observe()) == 4 and isinstance(other.step("none"), Verdict)
    assert not episode.is_over and episode.step("SEARCH def add").status == "asked"


def test_what_cannot_be_loaded_is_said(judge, task):
    reply = "```python\nfrom calc.no import where\n\n\ndef add(a, b):\n    return 1\n```"
    feedback = Episode(judge, task, [], "blocks", turns=2).step(reply)
    assert "cannot be loaded:\n  ModuleNotFoundError: No module named 'calc.no'" in feedback.text


@pytest.mark.slow
def test_what_is_said_is_short_and_the_same_every_time(judge, repository, task):
    """Whatever the edit says: addresses, temporary folders, colours, lines without an end."""
    says = (
        "import tempfile; assert 0, (object(), tempfile.mkdtemp(), '\\x1b[31m') + ('x' * 99,) * 99"
    )
    lines = (
        "assert 0, chr(10).join('line %d' % i + 'y' * 300 for i in range(5000)) + '\\x1b\\udc80'"
    )
    with Judge(repository, judge.limits, Suite()) as another:
        for body in (says, lines):
            texts = [
                Episode(j, task, [], "blocks", 2).step(block(body)).text for j in (judge, another)
            ]
            assert texts[0] == texts[1]
            assert len(texts[0]) < MAX_CHARACTERS + 100
            assert all(c.isprintable() or c == "\n" for c in texts[0])


@pytest.mark.parametrize(
    "reply, status",
    [
        (block("return a + b"), "resolved"),
        (block("return 3"), "failed"),
        ("def add(a, b): return a + b", "invalid"),
    ],
)
def test_one_turn_is_the_verdict_of_the_reply(judge, task, repository, reply, status):
    def said(verdict: Verdict) -> tuple:
        return verdict.status, verdict.stage, verdict.reason, verdict.tests

    outcome = Episode(judge, task, [], "blocks", turns=1).step(reply)
    assert isinstance(outcome, Verdict) and outcome.status == status
    assert said(judge_reply(judge, task, reply, "blocks")) == said(outcome)
    if status != "invalid":
        edit = from_reply(reply, task, task.broken(repository.snapshot), "blocks")
        assert said(judge.judge(task, edit)) == said(outcome)


# ---------------------------------------------------------------------------------- without the jail


class ScriptedJudge:
    """Gives these verdicts, and what shown tests say, by their status, one after the other."""

    limits = Limits(workers=1, timeout=1.0)

    def __init__(self, repository, *statuses: str) -> None:
        self.repository, self._statuses = repository, list(statuses)

    def tree_of(self, task: Task):
        return self.repository.snapshot

    def judge_many(self, pairs) -> list:
        return [self._next(task) for task, _ in pairs]

    def _next(self, task: Task) -> Verdict | HarnessError:
        status = self._statuses.pop(0)
        if status == "harness":
            return HarnessError("The jail is gone.")
        return Verdict(task.instance_id, status, "screen", "A reason.", {}, 0.0)

    def run_shown(self, task: Task, files: dict[str, str]) -> Shown:
        match self._next(task):
            case HarnessError() as error:
                raise error
            case Verdict(status="resolved"):
                return Shown(())
            case verdict:
                return Shown(task.shown, timeout=verdict.status == "timeout")


def test_what_is_tampered_ends_it(repository, task):
    judge = ScriptedJudge(repository, "resolved", "tampered")
    outcome = Episode(judge, task, [], "blocks", turns=5).step(block("return 0"))
    assert isinstance(outcome, Verdict) and outcome.status == "tampered"


def test_a_timeout_is_said(repository, task):
    episode = Episode(ScriptedJudge(repository, "timeout"), task, [], "blocks", turns=3)
    feedback = episode.step(block("return 1"))
    assert feedback.status == "timeout" and "do not end in time" in feedback.text


def test_a_harness_that_fails_takes_no_turn(repository, task):
    judge = ScriptedJudge(repository, "harness", "failed", "failed")
    episode = Episode(judge, task, [], "blocks", turns=2)
    with pytest.raises(HarnessError, match="The jail is gone"):
        episode.step(block("return 0"))
    assert episode.observe() == []
    assert isinstance(episode.step(block("return 0")), Feedback)
    assert isinstance(episode.step(block("return 0")), Verdict)


def test_an_episode_has_a_turn(task):
    with pytest.raises(ValueError, match="at least one turn"):
        Episode(SimpleNamespace(), task, [], "blocks", turns=0)


# --------------------------------------------------------------------------- what nothing depends on

TWO_WORLDS = {
    "tests/test_core.py": '''"""{words}"""
from calc.core import add
from tests.helper import doubled
from tests.tables import CASES

LATER = [{numbers}]


def test_add():
    assert doubled(add(1, 2)) == 6  # {words}


{comment}
def test_add_negative():
    assert add({numbers}) == {value}, "{words}"
    assert LATER and CASES
''',
    "tests/helper.py": "def doubled(x):\n    return 2 * x\n\n\ndef expected():\n    return {value}\n",
    "tests/tables.py": "CASES = [{numbers}]\nOTHERS = 1\n",
    "tests/test_more.py": "from calc.core import add\n\ndef test_more():\n    assert add({numbers}) == {value}\n",
    "tests/expected.json": '{{"{words}": {value}}}',
    "notes.md": "def test_add_negative():\n    assert add({numbers}) == {value}, '{words}'\n    assert LATER and CASES and {value}\n",
}
READ_ALL = "''.join(p + open(p).read() for p in sorted(glob.glob('**/*.*', recursive=True)))"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Two (repository, task) that differ in their hidden tests, at the same path."""
    root = make_repo(tmp_path_factory.mktemp("worlds"), {**CALC, "tests/__init__.py": ""})
    made = []
    for words, numbers, value in (("cats", "1, -2", "-1"), ("a dog", "40, -23", "17")):
        comment = f"# {words} of which there are {value}\n" * len(words)
        for path, text in TWO_WORLDS.items():
            filled = text.format(words=words, numbers=numbers, value=value, comment=comment)
            (root / path).write_text(filled)
        git(root, "add", "-A")
        git(root, "commit", "-qm", words)
        made.append(open_repository(root))
    return made


EDITS = (
    "return a - b",
    "return '4' * 99",
    f"import glob; raise ValueError({READ_ALL}[OFFSET:][:150].encode().hex())",
    "import os; raise ValueError(sorted(str(w) for w in os.walk('.'))[OFFSET // 100:])",
    "import inspect, sys; raise ValueError(inspect.getsource(sys._getframe(1)))",
    "import sys; raise ValueError(sorted(k for k in sys.modules if 'test' in k), OFFSET)",
    "import resource; raise ValueError(resource.getrlimit(0), OFFSET)",
    "import gc; raise ValueError(sum('cats' in o or 'a dog' in o for o in gc.get_objects() if type(o) is dict))",
)
QUESTIONS = (
    *(
        "SEARCH negative",
        "SEARCH -23",
        "SEARCH 17",
        "SEARCH cats",
        "SEARCH add(1, -2)",
        "SEARCH def ",
    ),
    *("READ tests/test_core.py", "READ tests/expected.json", "READ notes.md", "READ calc/core.py"),
    *("READ tests/../tests/helper.py", "READ .git/HEAD", "READ /etc/passwd"),
)


@pytest.mark.slow
def test_no_feedback_changes_when_hidden_tests_change(worlds, task):
    said = []
    more = replace(task, FAIL_TO_PASS=(SHOWN, HIDDEN, "tests/test_more.py::test_more"))
    replies = [
        *QUESTIONS,
        *(block(edit.replace("OFFSET", f"{k * 150}")) for edit in EDITS for k in range(3)),
    ]
    for repository in worlds:
        limits = Limits(workers=1, timeout=20.0)
        with Judge(repository, limits, Suite(test_files=("tests/test_core.py",))) as judge:
            episode = Episode(judge, more, [], "blocks", turns=99)
            said.append([episode.step(reply).text for reply in replies])
    assert said[0] == said[1]
    read = "".join(
        bytes.fromhex(run[: len(run) // 2 * 2]).decode(errors="replace")
        for text in said[0]
        for run in re.findall("[0-9a-f]{50,}", text)
    )
    assert "def add(a, b)" in read, "nothing was read, so that nothing could be seen"
    assert all(said[0][k] == NO_FILE for k in (6, 7, 8, 10, 11, 12))


@pytest.mark.slow
def test_a_shown_test_that_inherits_a_hidden_one_is_not_quoted(tmp_path, task):
    """There it cannot run alone: it is told that not all pass, and no more."""
    text = (
        "from calc.core import add\n\n\nclass TestOne:\n    one = 1\n\n    def test_add(self):\n"
        "        assert add(self.one, 2) == 2 + self.one\n\n\nclass TestTwo(TestOne):\n    one = 2\n"
    )
    repository = open_repository(make_repo(tmp_path, {**CALC, "tests/test_core.py": text}))
    one, two = (f"tests/test_core.py::Test{name}::test_add" for name in ("One", "Two"))
    inherits = replace(task, FAIL_TO_PASS=(one, two), shown=(two,))
    with Judge(repository, Limits(workers=1, timeout=20.0)) as judge:
        episode = Episode(judge, inherits, [], "blocks", turns=3)
        feedback = episode.step(block("return 3"))
        assert feedback.text.startswith("With this answer not all of the tests pass")
        assert episode.step(block("return a + b")).status == "resolved"
