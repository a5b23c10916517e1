"""A task as an environment: what may be known of a reply that failed, and when it is over. The
verdicts are those of the real jail, but for the cases that it does not come to."""

from types import SimpleNamespace

import pytest

from sandbox import patches
from sandbox.episode import Episode, Feedback, judge_reply
from sandbox.errors import HarnessError
from sandbox.judge.edits import from_reply
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits, Verdict
from sandbox.repo import open_repository
from sandbox.source import blanked, find, read_text
from sandbox.tasks.task import Task
from tests.asked import messages
from tests.conftest import CALC, make_repo

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


def test_an_episode_of_three_turns(judge, task, repository):
    asked = messages(task, repository.snapshot)
    assert not tells_of_hidden_test(asked[0]["content"])
    episode = Episode(judge, task, asked, "blocks", turns=3)
    assert episode.observe() == asked and not episode.is_over

    first = episode.step("<think>\nSubtract?\n</think>\n\n" + block("return a - b"))
    assert isinstance(first, Feedback) and first.verdict.status == "failed"
    assert f"- `{SHOWN}`" in first.text and "assert -1 == 3" in first.text
    assert HIDDEN in first.verdict.tests and "test_add_negative" not in repr(first)

    second = episode.step(block("return 3"))
    assert isinstance(second, Feedback)
    assert "tests that you were shown pass, and others of the same code fail" in second.text
    said = episode.observe()
    assert [m["role"] for m in said] == ["user", "assistant", "user", "assistant", "user"]
    assert [said[2]["content"], said[4]["content"]] == [first.text, second.text]
    assert said[1]["content"] == block("return a - b"), "thoughts are not shown again"

    last = episode.step(block("return a + b"))
    assert isinstance(last, Verdict) and last.status == "resolved" and episode.is_over
    assert not any(tells_of_hidden_test(m["content"]) for m in said)
    with pytest.raises(ValueError, match="over"):
        episode.step(block("return a + b"))


def test_a_reply_that_reads_the_tests_gets_no_line_of_a_hidden_one(judge, task, repository):
    """What an assertion says is shown, and the reply may put into it whatever it can read."""
    reads = "assert a == 0, open('tests/test_core.py').read()"
    episode = Episode(judge, task, messages(task, repository.snapshot), "blocks", turns=2)
    feedback = episode.step(block(reads))
    assert isinstance(feedback, Feedback) and f"- `{SHOWN}`" in feedback.text
    assert "AssertionError" in feedback.text and not tells_of_hidden_test(feedback.text)


def test_what_has_no_edit_says_why(judge, task):
    episode = Episode(judge, task, [], "blocks", turns=2)
    feedback = episode.step("I do not know.")
    assert isinstance(feedback, Feedback) and feedback.verdict.status == "invalid"
    assert f"This answer cannot be used: {feedback.verdict.reason}" in feedback.text
    assert isinstance(episode.step("I still do not."), Verdict), "the last turn says no more"


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
    """Gives these verdicts, by their status, one after the other."""

    limits = Limits(workers=1, timeout=1.0)

    def __init__(self, repository, *statuses: str) -> None:
        self.repository, self._statuses, self.ran = repository, list(statuses), []

    def judge_many(self, pairs) -> list:
        return [self._next(task) for task, _ in pairs]

    def _next(self, task: Task) -> Verdict | HarnessError:
        status = self._statuses.pop(0)
        if status == "harness":
            return HarnessError("The jail is gone.")
        return Verdict(task.instance_id, status, "screen", "A reason.", {}, 0.0)

    def run(self, request: dict) -> dict:
        self.ran.append(request["ids"])
        return {"outcomes": {}, "text": {}}


def test_what_is_tampered_ends_it_at_once(repository, task):
    judge = ScriptedJudge(repository, "tampered")
    outcome = Episode(judge, task, [], "blocks", turns=5).step(block("return 0"))
    assert isinstance(outcome, Verdict) and outcome.status == "tampered" and judge.ran == []


def test_only_shown_tests_are_run_for_the_feedback(repository, task):
    judge = ScriptedJudge(repository, "failed", "timeout")
    episode = Episode(judge, task, [], "blocks", turns=3)
    episode.step(block("return 0"))
    assert judge.ran == [[SHOWN]]
    assert "do not end in time" in episode.step(block("return 1")).text and len(judge.ran) == 1


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
