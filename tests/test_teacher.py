"""The teachers: what they are asked, what becomes of their answers, and what is distilled of them.
The endpoint is a real server on loopback, the verdicts are those of the real jail."""

import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.events import Progress
from recipes.runfolder.places import Place
from recipes.settings import TeacherSettings, from_dict, load
from recipes.teachers.choose import choose_cold, choose_replay
from recipes.teachers.conversation import ApiTeacher
from recipes.teachers.endpoint import Endpoint
from recipes.teachers.events import Spent, Taught, TeacherPlan
from recipes.teachers.ledger import Ledger, Replies, as_pico, read_summary
from recipes.teachers.options import MAX_USD, TeacherOptions, hire
from recipes.teachers.plan import plan
from recipes.teachers.reference import ReferenceTeacher
from recipes.teachers.scheduler import RequestScheduler, SchedulerOptions
from recipes.teachers.secrets import SecretFilter
from recipes.teachers.senders import sender_of
from recipes.teachers.student_format import StudentFormat, normal_form
from recipes.teachers.teach import teach
from sandbox import patches
from sandbox.errors import UsageError
from sandbox.judge.edits import from_reply
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import blanked, find, read_text
from sandbox.tasks.task import Task
from tests.asked import messages
from tests.conftest import CALC, make_repo
from tests.teacher_server import TeacherServer

TEST = "tests/test_core.py::"
TESTS = {
    "add": (TEST + "test_add", TEST + "test_add_negative"),
    "mean": (TEST + "test_mean[xs0-2]", TEST + "test_mean[xs1-5]", TEST + "test_mean_empty"),
    "Counter.up": (TEST + "TestCounter::test_up",),
    "area": (TEST + "test_area",),
}
RIGHT = {
    "add": "def add(a, b):\n    return a + b\n",
    "mean": "def mean(xs):\n    if not xs:\n        raise ValueError('no data')\n    return "
    "sum(xs) / len(xs)\n",
}
QUICK = TeacherSettings(pause=0.01, stall=2.0, concurrency=4, solutions=1, attempts=2)


def block(code: str, words: str = "It adds up.") -> str:
    return f"{words}\n\n```python\n{code}```\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return open_repository(make_repo(tmp_path_factory.mktemp("calc"), CALC))


@pytest.fixture(scope="module")
def tasks(repository) -> dict[str, Task]:
    """A task for each function of TESTS, as mining would make it; of `add` and `mean` one test is
    hidden."""
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
            FAIL_TO_PASS=tests,
            PASS_TO_PASS=(),
            shown=tests[:-1] or tests,
            problem_statement=f"The body of `{name}` is missing.",
            test_seconds=0.05,
        )
        for name, tests in TESTS.items()
    }


class BusyJudge(Judge):
    """Counts who asks for a verdict or for what the visible tests say, and can let the first
    verdict wait for the second."""

    asked = 0
    together: threading.Barrier | None = None

    def judge_many(self, *args, **settings):
        self.asked += 1
        if self.together is not None and self.asked <= 2:
            self.together.wait()
        return super().judge_many(*args, **settings)

    def run_shown(self, *args):
        self.asked += 1
        return super().run_shown(*args)


@pytest.fixture(scope="module")
def judge(repository):
    with BusyJudge(
        repository, Limits(workers=2, timeout=3.0), Suite(test_files=("tests/test_core.py",))
    ) as judge:
        yield judge


@pytest.fixture(scope="module")
def secret_filter(repository):
    return SecretFilter(repository)


class School:
    """One run with an API teacher."""

    def __init__(self, folder, repository, judge, secret_filter, tasks):
        self.folder, self.repository, self.judge = folder, repository, judge
        self.secret_filter, self.tasks = secret_filter, tasks

    def teach(
        self,
        server,
        names=("add",),
        settings: TeacherSettings = QUICK,
        style: str = "blocks",
        max_usd: float = 1.0,
        max_requests: int | None = None,
        **endpoint,
    ) -> dict:
        """{name: lesson}"""
        endpoint = Endpoint(
            **{
                "name": "here",
                "base_url": server.url if server else "",
                "model": "m",
                "price": ("1", "0.5", "2"),
                "max_output": 500,
                **endpoint,
            }
        )
        chosen = [self.tasks[name] for name in names]
        prompts = {
            task.instance_id: messages(task, self.repository.snapshot, "blocks") for task in chosen
        }
        with (
            Replies(self.folder / "shared") as replies,
            Ledger.open(self.folder / "teacher.sqlite", replies) as ledger,
        ):
            client = sender_of(endpoint, "sk-any", settings)
            options = SchedulerOptions(
                as_pico(max_usd), settings.tries, settings.pause, max_requests=max_requests
            )
            scheduler = RequestScheduler(client, ledger, replies, options)
            chats = {t.instance_id: messages(t, self.repository.snapshot, style) for t in chosen}
            student = StudentFormat(style, chats, settings.reasoning)
            teacher = ApiTeacher(scheduler, self.judge, self.secret_filter, settings, student, 0)
            return {lesson.task.function: lesson for lesson in teacher.teach(chosen, prompts)}

    def verdicts(self) -> list[str]:
        with sqlite3.connect(self.folder / "teacher.sqlite") as base:
            return [row[0] for row in base.execute("SELECT verdict FROM requests ORDER BY rowid")]


@pytest.fixture
def school(tmp_path, repository, judge, secret_filter, tasks):
    return School(tmp_path, repository, judge, secret_filter, tasks)


@pytest.fixture
def serve(tmp_path):
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(TeacherServer(tmp_path / "server", **settings))


# -------------------------------------------------------------------------------------- whom to ask


def some_tasks(tasks, *kinds) -> list[Task]:
    return [
        replace(tasks["add"], instance_id=f"t{number}", split=split)
        for number, split in enumerate(kinds)
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["train", "heldout"]), st.sampled_from(["cold", "warm", "mastered"])
        )
    ),
    st.floats(0, 1),
    st.integers(0, 9),
)
def test_the_cold_ones_and_no_others(states, share, seed):
    made = [
        Task(f"t{n}", "blank", split, "r", "c", "f", "g", "", (), (), (), "", 0.0)
        for n, (split, _) in enumerate(states)
    ]
    chosen = choose_cold(made, {f"t{n}": state for n, (_, state) in enumerate(states)}, share, seed)
    cold = [t for t, (split, state) in zip(made, states) if split == "train" and state == "cold"]
    assert len(chosen) == round(len(cold) * share) and set(t.instance_id for t in chosen) <= {
        t.instance_id for t in cold
    }
    assert chosen == [t for t in made if t in chosen], "not in their order"


def test_the_reference_teacher(repository, tasks, judge):
    teacher = ReferenceTeacher(lambda task: repository.snapshot, "blocks")
    reply = teacher.reply(tasks["mean"], [])
    assert (
        judge.judge(
            tasks["mean"],
            from_reply(reply, tasks["mean"], tasks["mean"].broken(repository.snapshot)),
        ).status
        == "resolved"
    )


def test_the_students_own_rollouts_for_replay(tasks):
    made = some_tasks(tasks, "train", "train", "heldout", "train")
    rollouts = [
        {"instance_id": f"t{n}", "text": text, "status": status}
        for n, text, status in [
            (0, "a", "resolved"),
            (0, "a", "resolved"),
            (0, "b", "resolved"),
            (1, "c", "resolved"),
            (1, "d", "failed"),
            (2, "e", "resolved"),
            (3, "f", "truncated"),
        ]
    ]
    assert (
        choose_replay(made, rollouts, 100, 0.0, 0) == []
        and choose_replay(made, rollouts, 0, 0.5, 0) == []
    )
    every = choose_replay(made, rollouts, 100, 0.5, 0)
    assert sorted((r["instance_id"], r["text"]) for r in every) == [
        ("t0", "a"),
        ("t0", "b"),
        ("t1", "c"),
    ]
    few = choose_replay(made, rollouts, 2, 0.5, 0)
    assert {r["instance_id"] for r in few} == {"t0", "t1"}, (
        "a second one of a task before the first one of another"
    )
    assert len(choose_replay(made, rollouts, 4, 0.2, 0)) == 1
    assert choose_replay(made, list(reversed(rollouts)), 100, 0.5, 0) == every and any(
        choose_replay(made, rollouts, 100, 0.5, seed) != every for seed in range(9)
    )


def test_settings_that_cannot_be():
    settings = from_dict(
        {"teacher": {"reasoning": True, "repairs": 0, "temperatures": [0, 1.5]}}
    ).teacher
    assert settings == TeacherSettings(reasoning=True, repairs=0, temperatures=(0.0, 1.5))
    for section, key, value, says in [
        ("teacher", "temperatures", [], "must not be empty"),
        ("teacher", "attempts", 0, "more than 0"),
        ("distil", "replay", 0.95, "not be more than 0.9"),
        ("teacher", "reasoning", 1, "true or false"),
        ("teacher", "share", 1.5, "not be more than 1,"),
    ]:
        with pytest.raises(UsageError, match=f"{section}.{key}.*{says}"):
            from_dict({section: {key: value}})
    assert from_dict({}).distil.replay > 0 == load("nano").distil.replay


# ------------------------------------------------------------------------------------------- hiring

URL = "http://127.0.0.1:1/v1"


def test_nobody_is_hired_without_a_name():
    assert (
        hire(None, {}, TeacherOptions()) is None
        and hire(None, {}, TeacherOptions(teacher="reference")) is None
    )
    for more in (
        {"model": "m"},
        {"price": "1,2"},
        {"max_usd": 2.0},
        {"terms_acknowledged": True},
        {"dry_run": True},
    ):
        with pytest.raises(UsageError, match="Name an API teacher with --teacher"):
            hire(None, {}, TeacherOptions(**more))


def test_what_must_be_settled_before_anything_is_sent():
    keys = {"COLDSTART_TEACHER_KEY": "sk-mine"}
    with pytest.raises(UsageError, match="price of m at 127.0.0.1 is not known"):
        hire(None, {}, TeacherOptions(teacher=URL, model="m"))
    with pytest.raises(UsageError, match="terms allow training.*--terms-acknowledged"):
        hire(None, keys, TeacherOptions(teacher="glm-5.2"))
    with pytest.raises(UsageError, match="needs a key"):
        hire(None, {}, TeacherOptions(teacher="glm-5.2", terms_acknowledged=True))
    hired = hire(
        None, keys, TeacherOptions(teacher="glm-5.2", max_usd=2.5, terms_acknowledged=True)
    )
    assert (hired.key, hired.max_usd, hired.endpoint.name) == (
        "sk-mine",
        2.5,
        "glm-5.2",
    ) and "sk-mine" not in repr(hired) + json.dumps(hired.to_dict())
    assert hire(None, {}, TeacherOptions(teacher=URL, model="m", price="0,0")).max_usd == MAX_USD, (
        "this machine's own endpoint has no terms"
    )
    assert (
        hire(None, {}, TeacherOptions(teacher="openrouter", dry_run=True)).endpoint.price is None
    ), "a dry run needs nothing"


def test_it_is_said_once_and_remembered():
    keys = {"COLDSTART_TEACHER_KEY": "sk-mine"}
    known = json.loads(
        json.dumps(
            hire(
                None,
                keys,
                TeacherOptions(
                    teacher="glm-5.2", price="1,2", max_usd=3.0, terms_acknowledged=True
                ),
            ).to_dict()
        )
    )
    again = hire(known, keys, TeacherOptions())
    assert (
        again.endpoint.price == ("1", "1", "2") and again.max_usd == 3.0 and again.key == "sk-mine"
    )
    assert hire(known, keys, TeacherOptions(max_usd=4.0)).max_usd == 4.0
    assert hire(known, keys, TeacherOptions(teacher="glm-5.2")).terms_acknowledged
    with pytest.raises(UsageError, match="terms"):
        hire(known, keys, TeacherOptions(teacher="deepseek"))  # another provider, other terms
    with pytest.raises(UsageError, match="price of glm-9"):
        hire(known, keys, TeacherOptions(model="glm-9"))
    assert hire(known, keys, TeacherOptions(teacher="reference")) is None


def test_the_plan(repository, tasks, secret_filter):
    endpoint = Endpoint("e", URL, "m", ("1", "0.5", "2"), max_output=1000)
    made = plan(
        [tasks["add"], tasks["mean"]],
        lambda task: repository.snapshot,
        endpoint,
        QUICK,
        secret_filter,
    )
    size = sum(len(prompt[0]["content"]) for prompt in made.prompts.values())
    assert (
        set(made.prompts) == {"blank-calc.core.add", "blank-calc.core.mean"}
        and abs(made.tokens - size / 3) <= 2
        and made.withheld == {}
    )
    least, most = made.usd
    assert 2 * 600 * 2 / 1e6 < least < 0.01 and most > 2 * 2 * 3 * 1000 * 2 / 1e6
    hired = hire(None, {}, TeacherOptions(teacher=URL, model="m", price="1,2", dry_run=True))
    lines = str(made.event(hired))
    assert "2 cold tasks go to 127.0.0.1" in lines and f"about {made.tokens:,} tokens" in lines
    assert f"${least:.2f} and ${most:.2f}" in lines and "stops at $1.00" in lines
    unknown = plan(
        [tasks["add"]],
        lambda task: repository.snapshot,
        replace(endpoint, price=None),
        QUICK,
        secret_filter,
    )
    assert unknown.usd is None and "not known" in str(unknown.event(hired))
    assert json.loads(json.dumps(unknown.to_dict()))["usd"] is None
    secret = replace(tasks["mean"], problem_statement='It fails with password = "Xk-93jd-02ls".')
    withheld = plan(
        [tasks["add"], secret], lambda task: repository.snapshot, endpoint, QUICK, secret_filter
    )
    assert (
        list(withheld.prompts) == ["blank-calc.core.add"]
        and "looks like a secret" in withheld.withheld["blank-calc.core.mean"]
    )
    said = str(withheld.event(hired)).split("\n")
    assert said[-1].startswith("blank-calc.core.mean is not sent: it holds")


# ------------------------------------------------------------------------------------ conversations


def test_a_right_answer(school, serve, repository, tasks):
    server = serve(answers={"`add`": [block(RIGHT["add"])]})
    lesson = school.teach(server)["add"]
    assert lesson.dialogues == (
        [
            *messages(tasks["add"], repository.snapshot, "blocks"),
            {"role": "assistant", "content": block(RIGHT["add"])},
        ],
    )
    assert school.verdicts() == ["resolved"] and len(server.log()) == 1


@pytest.mark.slow
def test_a_wrong_answer_is_repaired_and_left_out(school, serve, repository, tasks):
    server = serve(
        answers={"`add`": [block("def add(a, b):\n    return a - b\n")]},
        repaired={"`add`": [block(RIGHT["add"])]},
    )
    lesson = school.teach(server)["add"]
    assert school.verdicts() == ["failed", "resolved"]
    assert lesson.dialogues == (
        [
            *messages(tasks["add"], repository.snapshot, "blocks"),
            {"role": "assistant", "content": block(RIGHT["add"])},
        ],
    ), "a wrong turn is learned"
    first, second = (record["body"]["messages"] for record in server.log())
    assert second[:2] == [
        *first,
        {"role": "assistant", "content": block("def add(a, b):\n    return a - b\n")},
    ]
    said = second[2]["content"]
    assert (
        "test_add`" in said
        and "assert -1 == 3" in said
        and said.endswith("Answer again with the whole function `add`.")
    )
    assert "negative" not in said and "-2" not in said, "the hidden test is told"


def test_only_visible_tests_are_told_of(school, serve):
    """The visible test passes and the hidden one does not: that ends it, and nothing is said."""
    server = serve(answers={"`add`": [block("def add(a, b):\n    return 3\n")]})
    lesson = school.teach(server, settings=replace(QUICK, attempts=1, repairs=1))["add"]
    assert lesson.dialogues == () and lesson.why == "the last reply was failed"
    assert school.verdicts() == ["failed"] and len(server.log()) == 1


def test_a_teacher_may_ask(school, serve, repository):
    server = serve(
        answers={"`add`": ["READ calc/core.py:1-2"]}, repaired={"`add`": [block(RIGHT["add"])]}
    )
    lesson = school.teach(server, settings=replace(QUICK, attempts=1, repairs=1))["add"]
    assert len(lesson.dialogues) == 1 and len(lesson.dialogues[0]) == 2
    assert school.verdicts() == ["asked", "resolved"]
    assert server.log()[1]["body"]["messages"][2]["content"].endswith(
        '"""Sums and means."""\nimport math'
    )


@pytest.mark.parametrize(
    "answer, verdict, says",
    [
        ("I do not know.", "invalid", "cannot be used: the reply holds no complete python block"),
        (block("def add(a, b:\n"), "invalid", "does not parse"),
        pytest.param(
            block("def add(a, b):\n    while True: pass\n"),
            "timeout",
            "do not end in time",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_said_of_other_failures(school, serve, answer, verdict, says):
    server = serve(answers={"`add`": [answer]})
    lesson = school.teach(server, settings=replace(QUICK, attempts=1, repairs=2))["add"]
    assert lesson.why == f"the last reply was {verdict}" and school.verdicts() == [verdict] * 3
    assert all(says in record["body"]["messages"][-1]["content"] for record in server.log()[1:])
    assert len(server.log()[2]["body"]["messages"]) == 5


def test_attempts_get_warmer_and_differ(school, serve):
    server = serve(default="No.")
    settings = replace(QUICK, attempts=4, repairs=0, temperatures=(0.1, 0.7))
    school.teach(server, ("add", "mean"), settings)
    bodies = [record["body"] for record in server.log()]
    by_task = [
        [
            b["temperature"]
            for b in bodies
            if f"`{name}`" in b["messages"][0]["content"].partition("\n")[0]
        ]
        for name in ("add", "mean")
    ]
    assert by_task == [[0.1, 0.7, 0.7, 0.7]] * 2 and len({b["seed"] for b in bodies}) == 8


TWO_WAYS = [
    block(RIGHT["add"]),
    block("def add(a, b):\n    # b first\n    return (a + b)\n"),
    block("def add(a, b):\n    total = a\n    total += b\n    return total\n"),
    block("def add(a, b):\n    return b + a\n"),
]


@pytest.mark.slow
def test_several_different_solutions(school, serve):
    """Layout and comments make no difference, so of the four kinds of answer three count."""
    server = serve(answers={"`add`": TWO_WAYS})
    lesson = school.teach(server, settings=replace(QUICK, solutions=9, attempts=24, repairs=0))[
        "add"
    ]
    answers = [dialogue[-1]["content"] for dialogue in lesson.dialogues]
    assert len(answers) == 3 and set(answers) <= set(TWO_WAYS) and len(server.log()) == 24
    assert (
        len(
            school.teach(server, settings=replace(QUICK, solutions=2, attempts=24, repairs=0))[
                "add"
            ].dialogues
        )
        == 2
        and len(server.log()) == 24
    )


def test_a_server_that_ignores_the_seed(school, serve):
    server = serve(answers={"`add`": [block(RIGHT["add"])]})
    lesson = school.teach(server, settings=replace(QUICK, solutions=2, attempts=3, repairs=0))[
        "add"
    ]
    assert len(lesson.dialogues) == 1 and len(server.log()) == 3


@pytest.mark.parametrize(
    "fault, verdict", [("length", "truncated"), ("content_filter", "filtered")]
)
def test_replies_that_are_not_whole(school, serve, fault, verdict):
    server = serve(answers={"`add`": [block(RIGHT["add"])]}, script=[fault] * 9)
    lesson = school.teach(server, settings=replace(QUICK, repairs=1))["add"]
    assert (
        lesson.dialogues == ()
        and lesson.why == f"the last reply was {verdict}"
        and set(school.verdicts()) == {verdict}
    )
    assert len(server.log()) == 2, "what was cut off is not repaired"


@pytest.mark.parametrize(
    "fault, why",
    [
        ("error-200-text", "the model is being loaded"),
        ("no-choice", "no choice in the reply"),
        ("error-200", "429: Rate limit exceeded for [key]"),
        ("error-finish", "ended with 'error'"),
    ],
)
def test_a_task_that_the_endpoint_never_answers_ends_with_its_words(school, serve, fault, why):
    """Its error is no answer of the teacher's, so it is not judged; the other task is taught."""
    answers = {f"`{name}`": [block(code)] for name, code in RIGHT.items()}
    server = serve(answers=answers, always={"function `add`": fault}, delay=0.05)
    lessons = school.teach(server, ("mean", "add"), replace(QUICK, tries=3, concurrency=1))
    assert len(lessons["mean"].dialogues) == 1 and lessons["add"].dialogues == ()
    assert lessons["add"].why.startswith("no answer: ") and why in lessons["add"].why
    assert Counter(school.verdicts()) == {"resolved": 1, None: 2} and len(server.log()) == 1 + 2 * 3


@pytest.mark.slow
def test_a_request_that_is_refused_ends_its_attempt_alone(school, serve):
    server = serve(
        answers={f"`{name}`": [block(code)] for name, code in RIGHT.items()},
        rate=0.3,
        faults=("400",),
        seed=2,
    )
    lessons = school.teach(
        server, ("add", "mean"), replace(QUICK, attempts=9, solutions=2, repairs=0, concurrency=1)
    )
    assert {name: len(lesson.dialogues) for name, lesson in lessons.items()} == {
        "add": 1,
        "mean": 1,
    }
    assert (
        Counter(record["fault"] for record in server.log())["400"] >= 2 and len(server.log()) == 18
    )


def test_a_wrong_key_ends_everything(school, serve):
    server = serve(key="another")
    with pytest.raises(UsageError, match="refuses the key"):
        school.teach(server, TESTS)
    assert len(server.log()) == 1 and read_summary(school.folder)["usd"] == 0.0


@pytest.mark.slow
def test_the_cap_ends_it_and_what_is_there_stays(school, serve):
    server = serve(
        answers={f"`{name}`": [block(code)] for name, code in RIGHT.items()},
        default="No.",
        delay=0.05,
    )
    lessons = school.teach(server, TESTS, replace(QUICK, attempts=9, repairs=2), max_usd=0.012)
    assert set(lessons) == set(TESTS) and any(
        lesson.why == "the cap is reached" for lesson in lessons.values()
    )
    assert read_summary(school.folder)["usd"] <= 0.012
    before = len(server.log())
    again = school.teach(server, TESTS, replace(QUICK, attempts=9, repairs=2), max_usd=0.012)
    assert len(server.log()) == before and {n: taught.dialogues for n, taught in again.items()} == {
        n: taught.dialogues for n, taught in lessons.items()
    }


@pytest.mark.slow
def test_the_same_conversations_again_cost_nothing(school, serve):
    server = serve(answers={"`add`": TWO_WAYS[:1], "`mean`": [block(RIGHT["mean"])]}, default="No.")
    lessons = school.teach(server, TESTS)
    asked = len(server.log())
    assert school.teach(server, TESTS) == lessons and len(server.log()) == asked
    assert Counter(school.verdicts())["resolved"] == 2


# -------------------------------------------------------------------------------- what is distilled


def test_what_a_teacher_says_of_itself_is_not_distilled(school, serve):
    answer = block(
        "# Written by ChatGPT\ndef add(a, b):\n    return a + b\n",
        "I'm GLM, a large language model by Zhipu. The sum is returned.",
    )
    lesson = school.teach(serve(answers={"`add`": [answer]}))["add"]
    assert lesson.dialogues[0][-1]["content"] == block(RIGHT["add"], "The sum is returned.")


def test_reasoning_is_kept_and_distilled_only_if_wanted(school, serve, tmp_path):
    server = serve(answers={"`add`": [block(RIGHT["add"])]}, script=["reasoning"])
    assert "think" not in school.teach(server)["add"].dialogues[0][-1]["content"]
    with sqlite3.connect(school.folder / "teacher.sqlite") as base:
        assert (
            json.loads(base.execute("SELECT reply FROM requests").fetchone()[0])["reasoning"]
            == "First I think."
        )
    wanted = school.teach(server, settings=replace(QUICK, reasoning=True))["add"].dialogues[0][-1][
        "content"
    ]
    assert (
        wanted == "<think>\nFirst I think.\n</think>\n\n" + block(RIGHT["add"])
        and len(server.log()) == 1
    )


THOUGHT = (
    "A draft:\n\n```python\ndef add(a, b):\n    return a - b\n```\n\n"
    "I am Claude, and it is wrong. Better add."
)


@pytest.mark.parametrize(
    "before",
    [
        f"<think>\n{THOUGHT}\n</think>\n\n",
        f"<thinking>{THOUGHT}</thinking>\n",
        f"{THOUGHT}\n</think>\n\n",
    ],
)
def test_thinking_in_the_answer_itself_is_learned_only_if_wanted(school, serve, before):
    server = serve(answers={"`add`": [before + block(RIGHT["add"])]})
    (dialogue,) = school.teach(server)["add"].dialogues
    assert dialogue[-1]["content"] == block(RIGHT["add"]) and school.verdicts() == ["resolved"]
    (dialogue,) = school.teach(server, settings=replace(QUICK, reasoning=True))["add"].dialogues
    kept = THOUGHT.replace("I am Claude, and it is wrong. ", "")
    assert dialogue[-1]["content"] == f"<think>\n{kept}\n</think>\n\n" + block(RIGHT["add"])
    assert len(server.log()) == 1


def test_an_answer_that_is_never_given_is_none(school, serve):
    """And what was thought is not sent back."""
    server = serve(
        answers={"`add`": ["<think>\n" + block(RIGHT["add"])]},
        repaired={"`add`": ["<think>\nHm.\n</think>\n" + block("def add(a, b):\n    return 3\n")]},
    )
    assert (
        school.teach(server, settings=replace(QUICK, attempts=1, repairs=2))["add"].dialogues == ()
    )
    assert (
        school.verdicts() == ["invalid", "failed", "failed"][: len(school.verdicts())]
        and len(server.log()) >= 2
    )
    said = [
        message["content"] for record in server.log() for message in record["body"]["messages"][1:]
    ]
    assert "stands in its thinking alone" in said[1] and not any("Hm." in text for text in said)


def test_halves_of_letters_in_an_answer(school, serve):
    """JSON can say them, and nothing else takes them."""
    server = serve(answers={"`add`": [block(RIGHT["add"], "It adds up \ud83d.")]})
    (dialogue,) = school.teach(server)["add"].dialogues
    assert dialogue[-1]["content"] == block(RIGHT["add"], "It adds up ?.")


@pytest.mark.slow
def test_a_student_that_writes_bare_bodies(school, serve, repository, tasks):
    """The teacher is asked for whole functions all the same; what needs more than a body cannot be
    learned."""
    with_helper = block("import operator\n\n\ndef add(a, b):\n    return operator.add(a, b)\n")
    server = serve(answers={"`add`": [with_helper], "`mean`": [block(RIGHT["mean"])]})
    lessons = school.teach(server, ("add", "mean"), replace(QUICK, attempts=1), style="body")
    assert lessons["mean"].dialogues == (
        [
            *messages(tasks["mean"], repository.snapshot, "body"),
            {"role": "assistant", "content": RIGHT["mean"].partition("\n")[2]},
        ],
    )
    assert (
        lessons["add"].dialogues == ()
        and "not in the form that the student writes" in lessons["add"].why
    )
    assert all(
        "fenced python block" in record["body"]["messages"][0]["content"] for record in server.log()
    )


def test_verdicts_are_given_at_the_same_time(school, serve):
    """No conversation waits for the verdict of another one."""
    judge = school.judge
    judge.asked, judge.together = 0, threading.Barrier(2, timeout=30)
    try:
        school.teach(serve(default="No.", delay=0.1), TESTS, replace(QUICK, attempts=1, repairs=0))
    finally:
        judge.together = None
    assert judge.asked > 1 and school.verdicts() == ["invalid"] * len(TESTS)


def test_who_is_interrupted_waits_for_no_verdict(tmp_path, repository, secret_filter, tasks, serve):
    server = serve(answers={"`add`": [block("def add(a, b):\n    while True: pass\n")]})
    with BusyJudge(
        repository, Limits(workers=1, timeout=60.0), Suite(test_files=("tests/test_core.py",))
    ) as judge:
        school = School(tmp_path, repository, judge, secret_filter, tasks)

        def interrupt():
            while not judge.asked:
                time.sleep(0.01)
            time.sleep(1.0)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            school.teach(server)
        assert time.monotonic() - began < 20
    assert school.verdicts() == [None]


def test_the_normal_form():
    first = {"a.py": "def f(x):\n    '''Words.'''\n    return x+1   # why\n"}
    assert normal_form(first) == normal_form({"a.py": "def f( x ):\n    return (x + 1)\n"})
    assert normal_form(first) != normal_form({"a.py": "def f(x):\n    return 1 + x\n"})
    assert normal_form(first) != normal_form({"b.py": first["a.py"]})
    assert normal_form({"a.py": "class A:\n    'words'\n"}) == normal_form(
        {"a.py": "class A:\n    'others'\n"}
    )


# ------------------------------------------------------------------------------- the stage of a run


class WrittenRun(SimpleNamespace):
    """As much of a run as teaching needs."""

    set_aside: dict[str, str] = {}

    @property
    def places(self) -> list[Place]:
        return [Place("calc", self.repository, self.folder, alone=True)]

    def is_done(self, step: str) -> bool:
        return False

    def step(self, name: str):
        return nullcontext()

    def read(self, file: str) -> list[dict]:
        return self.files.get(file, [])

    def keep_only(self, file: str, records: list[dict]) -> None:
        self.files[file] = records


def test_what_is_said_while_an_api_teacher_is_asked(
    tmp_path, repository, judge, tasks, serve, monkeypatch
):
    monkeypatch.setattr("sandbox.cache.cache_folder", lambda: tmp_path / "cache")
    task, said = tasks["add"], []
    server = serve(answers={"`add`": ["No."]})
    run = WrittenRun(
        folder=tmp_path, repository=repository, files={}, content={"teacher": {"endpoint": {}}}
    )
    run.files["probe.jsonl"] = [
        {"phase": "before", "instance_id": task.instance_id, "k": 2, "resolved": 0, "truncated": 0}
    ]
    recipe = load("nano")
    session = SimpleNamespace(
        run=run,
        recipe=replace(recipe, teacher=replace(QUICK, attempts=1, repairs=0)),
        tree_of=lambda task: repository.snapshot,
        tasks=[task],
        judge=judge,
        chats={task.instance_id: messages(task, repository.snapshot)},
        hired=hire(None, {}, TeacherOptions(server.url, "m", "1,2")),
        emit=said.append,
        stopping=lambda: nullcontext(SimpleNamespace(requested=False, check=lambda: None)),
    )
    teach(session)
    plan, progress, unsolved, spent, taught = said
    assert isinstance(plan, TeacherPlan) and plan.tasks == 1 and server.url in str(plan)
    assert progress == Progress("asking the teacher", 1, 1)
    assert str(unsolved) == "Without a verified answer: 1 x the last reply was invalid."
    assert isinstance(spent, Spent) and str(spent).startswith(
        "127.0.0.1 was sent 1 requests, for $"
    )
    assert str(spent).endswith(" of at most $1.00.")
    assert taught == Taught(1, 0)
    assert str(taught) == ("1 cold tasks were given to the teacher; the tests verified 0 answers.")
    assert run.files["trajectories.jsonl"] == []
