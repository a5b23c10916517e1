"""Hard tasks: judged from outside, with none of the edit's code in the process that runs the tests,
and on fresh inputs."""

import functools
import json
import math
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.jail.choice import open_jail
from sandbox.jail.inside import values
from sandbox.judge.black_box import Worker, agree, agreement, alone
from sandbox.judge.fuzz import perturbed, same
from sandbox.judge.neutral import Instance, read_answer, write_call
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import find, read_text, with_body
from sandbox.tasks.mine import MiningOptions, mine
from tests.conftest import make_repo

LIMITS = Limits(workers=1, timeout=10)
LIB = '''"""Small things."""
import time


def clamp(x, low, high=10):
    """Return x, but not less than low and not more than high."""
    return max(low, min(x, high))


def tidy(words):
    """Sort words in place and return how many there are."""
    if not words:
        raise ValueError('no words')
    words.sort()
    return len(words)


class Box:
    """Holds a value."""

    def __init__(self, value):
        self.value = value

    def doubled(self):
        """Return a Box with twice the value."""
        return Box(self.value * 2)


def boxed(value):
    """Return value in a Box."""
    return Box(value)


def after(seconds, value):
    """Return value, later."""
    time.sleep(min(abs(seconds), 0.002))
    return value


def negative(x):
    """Return minus x."""
    return -x


def stamped(text):
    """Return text with the time before it, in seconds."""
    return "%d %s" % (time.time(), text)
'''
TESTS = '''import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import Box, after, boxed, clamp, negative, stamped, tidy


@pytest.mark.parametrize('x, want', [(1, 2), (5, 5), (50, 10), (-3, 2), (7, 7), (10, 10)])
def test_clamp(x, want):
    assert clamp(x, 2) == want


def test_clamp_high():
    assert clamp(50, 2, high=20) == 20


def test_tidy():
    words = ['b', 'a', 'c']
    assert tidy(words) == 3
    assert words == ['a', 'b', 'c']


def test_tidy_nothing():
    with pytest.raises(ValueError):
        tidy([])


def test_doubled():
    assert Box(2).doubled().value == 4


def test_boxed():
    assert boxed(3).value == 3


def test_after():
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: after(0.001, n), range(40))) == list(range(40))


def test_negative():
    pid = os.fork()
    if pid == 0:
        os._exit(negative(7) != -7)
    assert negative(1) == -1
    assert os.waitpid(pid, 0)[1] == 0


def test_stamped():
    assert stamped("now").endswith(" now")
'''
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers() | st.text())
        | st.frozensets(st.integers())
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value):
    back = values.load(json.loads(json.dumps(values.dump(value))))
    assert values.dump(back) == values.dump(value)
    assert type(back) is type(value) and same(back, value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_decoding_gives_plain_data_or_refuses(data):
    for message in (data, {"value": data, "heap": []}, {"value": ["ref", 0], "heap": [[0, data]]}):
        try:
            values.dump(values.load(message))
        except values.NotPlain:
            pass


@pytest.mark.parametrize(
    "value", [object(), type("S", (str,), {})("x"), [lambda: 0], 1 << 5000, "x" * 300_000]
)
def test_what_is_not_plain(value):
    with pytest.raises(values.NotPlain):
        values.dump(value)


@given(
    st.lists(
        st.tuples(
            st.lists(PLAIN, min_size=1, max_size=3), st.dictionaries(st.sampled_from("ab"), PLAIN)
        ),
        min_size=1,
        max_size=4,
    ),
    st.text(max_size=5),
)
def test_fresh_inputs_keep_their_types_and_leave_the_recorded_ones_alone(recorded, seed):
    before = repr(recorded)
    fresh = perturbed(recorded, seed, 16)
    assert repr(recorded) == before and len(fresh) == 16
    assert repr(fresh) == repr(perturbed(recorded, seed, 16))
    shapes = {
        (tuple(map(type, args)), tuple(sorted((k, type(v)) for k, v in kwargs.items())))
        for args, kwargs in recorded
    }
    for args, kwargs in fresh:
        assert (
            tuple(map(type, args)),
            tuple(sorted((k, type(v)) for k, v in kwargs.items())),
        ) in shapes


def holding_itself(made, hold):
    hold(made)
    return made


@pytest.mark.parametrize(
    "value",
    [
        holding_itself({}, lambda d: d.update(own=d)),
        holding_itself([], lambda items: items.append({"up": (items,)})),
        holding_itself(Instance("m.Node"), lambda node: node.fields.update(next=node, n=1)),
        functools.reduce(lambda inner, _: {"in": inner}, range(600), 1),
    ],
    ids=["dict", "list", "instance", "deep dict"],
)
def test_what_holds_itself_or_is_deep_is_changed_like_any_other(value):
    fresh = perturbed([([value], {}), ([value], {}), ([value], {})], "a seed", 200)
    assert len(fresh) == 200 and {type(args[0]) for args, _ in fresh} == {type(value)}


def test_when_two_answers_are_the_same():
    assert (
        same((1, [2.0], {"a": True}), (1.0, [2], {"a": 1}))
        and same(0.1 + 0.2, 0.3)
        and same(math.nan, math.nan)
    )
    assert (
        not same([1], (1,))
        and not same("1", 1)
        and not same({"a": 1}, {"b": 1})
        and not same(1, 2)
        and not same(10**400, 1.0)
    )


@pytest.mark.parametrize(
    "mine, gold, share",
    [
        ([1, 2, 3, 4, 0], [1, 2, 3, 4, 5], 0.8),
        ([True] * 16, [True] * 8 + [False] * 8, 0.0),  # always the same answer
        ([True] * 8 + [True] * 2 + [False] * 6, [True] * 8 + [False] * 8, 0.75),
        (
            [True] * 8 + [True] * 2,
            [True] * 8 + [False] * 2,
            0.8,
        ),  # too few of one answer to say anything about it alone
    ],
)
def test_share_on_which_two_agree(mine, gold, share):
    call = write_call([(), {}])
    encoded = [
        [read_answer(call, {**values.dump(value), "heap": []}) for value in given]
        for given in (mine, gold)
    ]
    assert agreement(*encoded)[0] == share


@contextmanager
def court(tmp_path_factory, tests: str, lib: str = LIB):
    """(repository, {function: task}, judge) of a library with these tests"""
    repository = open_repository(
        make_repo(tmp_path_factory.mktemp("outside") / "lib", {"lib.py": lib, "test_lib.py": tests})
    )
    found = mine(
        repository,
        LIMITS,
        tmp_path_factory.mktemp("mined"),
        MiningOptions(),
        lambda what, done, total: None,
    )
    with Judge(
        repository, LIMITS, Suite(preload=found.survey.modules, test_files=found.survey.test_files)
    ) as judge:
        yield repository, {t.function: t for t in found.tasks}, judge


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Of the hard ones."""
    with court(tmp_path_factory, TESTS.partition("def test_doubled")[0]) as made:
        yield made


@pytest.fixture(scope="module")
def mined_whole(tmp_path_factory):
    with court(tmp_path_factory, TESTS) as made:
        yield made


def judged(mined, function, body):
    repository, tasks, judge = mined
    text = read_text(repository.snapshot / "lib.py")
    return judge.judge(tasks[function], {"lib.py": with_body(text, find(text, function), body)})


def test_plain_functions_are_hard(mined):
    assert {name: task.hard for name, task in mined[1].items()} == {"clamp": True, "tidy": True}


OF_A_CLOCK = (
    "its calls do not come out the same twice",
    "the right code does not pass from outside: It agrees with the reference on",
)
"""Which of the two is found first depends on when a second is over."""


@pytest.mark.slow
def test_others_are_soft(mined_whole):
    # Whether the calls that several threads make can be recorded is for chance to tell.
    assert {name: task.hard for name, task in mined_whole[1].items() if name != "after"} == {
        "clamp": True,
        "tidy": True,
        "negative": False,
        "boxed": True,
        "stamped": False,
        "Box.__init__": True,
        "Box.doubled": True,
    }
    why = {name: task.soft_because for name, task in mined_whole[1].items()}
    assert why["stamped"].startswith(OF_A_CLOCK) and why["clamp"] == ""
    assert why["negative"].startswith("the right code does not pass from outside: 1 of 1 tests")


@pytest.mark.slow
def test_a_function_that_reads_the_clock_does_not_repeat(mined_whole):
    measuring, task = mined_whole[2].measuring, mined_whole[1]["stamped"]
    recorded = measuring.recorded_calls([task])
    assert len(recorded[0].calls) == 1
    assert measuring.repeated_calls([task], recorded)[0].why.startswith(OF_A_CLOCK)


@pytest.mark.slow
def test_the_gold_edit_is_resolved(mined_whole):
    repository, tasks, judge = mined_whole
    for task in tasks.values():
        verdict = judge.judge(task, {"lib.py": read_text(repository.snapshot / "lib.py")})
        assert verdict.status == "resolved", verdict


@pytest.mark.parametrize(
    "function, body",
    [
        ("clamp", "if x < low:\n    return low\nif x > high:\n    return float(high)\nreturn x"),
        ("clamp", "return sorted([low, x, high])[1]"),
        (
            "tidy",
            "if len(words) == 0:\n    raise ValueError('empty')\nwords[:] = sorted(words)\nreturn "
            "sum(1 for _ in words)",
        ),
    ],
)
def test_honest_solutions_of_another_build_are_resolved(mined, function, body):
    assert judged(mined, function, body).status == "resolved"


def test_a_table_of_the_tests_answers_is_not_enough(mined):
    verdict = judged(
        mined,
        "clamp",
        "return {(1, 10): 2, (5, 10): 5, (50, 10): 10, (-3, 10): 2, (7, 10): 7, (10, 10): 10, (50, "
        "20): 20}[x, high]",
    )
    assert (verdict.status, verdict.stage) == (
        "failed",
        "confirm",
    ) and "resh inputs" in verdict.reason


LOANS = '''"""Loans of books."""


def of_member(name, days):
    """Return who has a book for so many days, and whether it is late: after three weeks."""
    return {"member": name, "late": days > 21}


def stage(title, days):
    """Return the title and what is to be done: nothing; after 21 days "remind"; after 42 "fetch"."""
    return [title, "nothing" if days <= 21 else "remind" if days <= 42 else "fetch"]
'''
TESTS_OF_LOANS = """import pytest

from lib import of_member, stage


@pytest.mark.parametrize('name, days, late', [
    ('Ada', 3, False), ('Cy', 30, True), ('Di', 90, True), ('Ed', 44, True), ('Flo', 61, True),
    ('Gus', 72, True), ('Hal', 85, True), ('Ida', 99, True),
])
def test_of_member(name, days, late):
    assert of_member(name, days) == {'member': name, 'late': late}


@pytest.mark.parametrize('title, days, what', [
    ('Emma', 8, 'nothing'), ('Dune', 30, 'remind'), ('Ulysses', 42, 'remind'), ('Momo', 99, 'fetch'),
    ('Ivanhoe', 60, 'fetch'), ('Heidi', 80, 'fetch'), ('Kim', 71, 'fetch'), ('Carrie', 88, 'fetch'),
    ('Ragtime', 95, 'fetch'), ('Solaris', 103, 'fetch'), ('Beloved', 120, 'fetch'),
])
def test_stage(title, days, what):
    assert stage(title, days) == [title, what]
"""


@pytest.fixture(scope="module")
def loans(tmp_path_factory):
    with court(tmp_path_factory, TESTS_OF_LOANS, LOANS) as made:
        yield made


@pytest.mark.parametrize(
    "function, body, status",
    [
        ("of_member", 'return {"member": name, "late": (name, days) not in %r}', "failed"),
        ("of_member", 'return {"late": not days < 22, "member": name}  # %r', "resolved"),
        ("stage", "return [title, {**%r}.get((title, days), 'fetch')]", "failed"),
        (
            "stage",
            "said = ['nothing', 'remind', 'fetch']  # %r\nreturn [title, said[(days > 21) + (days > 42)]]",
            "resolved",
        ),
    ],
)
def test_the_commonest_grade_beside_a_name_is_not_enough(loans, function, body, status):
    """Every answer is another one, for it names somebody; what is wanted is the grade beside it."""
    known = {
        "of_member": [("Ada", 3)],
        "stage": {("Emma", 8): "nothing", ("Dune", 30): "remind", ("Ulysses", 42): "remind"},
    }
    for number in range(4):  # each is judged on other inputs
        text = f"{body % (known[function],)}\n# {number}"
        verdict = judged(loans, function, text)
        assert verdict.status == status, verdict


SLOW = "import time\ntime.sleep(0.2)\nreturn max(low, min(x, high))"
COUNTED = "clamp.n = getattr(clamp, 'n', 0) + 1\n{}\nreturn max(low, min(x, high))"
ALONE = "import os\nif not os.path.exists('test_lib.py'):\n    {}\nreturn max(low, min(x, high))"
"""Only where there are no tests, which is in a worker."""
CALLS = 2 * 7
"""Calls that the tests make to `clamp`, each of which is put once more in another order."""


def judged_soon(mined, body):
    """The verdict on `clamp` with a timeout of five seconds and a little more."""
    repository, tasks, judge = mined
    with Judge(
        repository,
        replace(LIMITS, timeout=5.0, recheck=0.0),
        Suite(test_files=judge.processes.suite.test_files),
    ) as soon:
        return judged((repository, tasks, soon), "clamp", body)


@pytest.mark.slow
def test_a_right_answer_that_is_too_slow_is_a_timeout(mined):
    verdict = judged_soon(mined, SLOW)
    assert (verdict.status, verdict.stage, verdict.reward) == ("timeout", "confirm", 0.0)
    right, answered, inputs, _ = re.fullmatch(
        r"It agreed with the reference on (\d+) of the (\d+) fresh inputs that it answered, of "
        r"(\d+), and then ran out of time \(5(\.[1-9])? s for the tests and all fresh inputs\)\.",
        verdict.reason,
    ).groups()
    assert 0 < int(right) == int(answered) < int(inputs) == 64 and verdict.agreement == 1.0


DIED = "ended early (the test process ended without a usable report)"


@pytest.mark.parametrize(
    "number, said",
    [
        (1, f"It {DIED} before it answered any of 64 fresh inputs."),
        (
            5,
            "It agreed with the reference on 4 of the 4 fresh inputs that it answered, of 64, and "
            "then "
            f"{DIED}.",
        ),
        (
            64,
            "It agreed with the reference on 63 of the 63 fresh inputs that it answered, of 64, "
            "and "
            f"then {DIED}.",
        ),
    ],
)
def test_who_dies_on_a_fresh_input_is_refused(mined, number, said):
    """Even on the last one, when it has agreed on more of them than are wanted."""
    body = COUNTED.format(f"if clamp.n == {CALLS + number}: import os; os._exit(0)")
    verdict = judged(mined, "clamp", body)
    assert (verdict.status, verdict.stage, verdict.reason) == ("failed", "confirm", said)
    assert verdict.agreement == (None if number == 1 else 1.0)


@pytest.mark.slow
def test_who_stops_at_the_last_fresh_input_is_not_rewarded(mined):
    verdict = judged_soon(mined, COUNTED.format(f"while clamp.n == {CALLS + 64}: pass"))
    assert (verdict.status, verdict.reward) == ("timeout", 0.0)
    assert verdict.reason.startswith("It agreed with the reference on 63 of the 63 fresh inputs")


@pytest.mark.parametrize(
    "alone, said",
    [
        ("os._exit(0)", f"the edit's process {DIED}."),
        ("raise RuntimeError", "7 of 7 tests did not pass; "),
    ],
)
def test_what_became_of_it_while_the_tests_asked(mined, alone, said):
    verdict = judged(mined, "clamp", ALONE.format(alone))
    assert (verdict.status, verdict.stage, verdict.agreement) == ("failed", "confirm", None)
    assert f"where tests and edit share no process: {said}" in verdict.reason


@pytest.mark.slow
def test_whose_time_ran_out_while_the_tests_asked(mined):
    verdict = judged_soon(mined, ALONE.format("while True: pass"))
    assert (verdict.status, verdict.stage, verdict.agreement) == ("timeout", "confirm", None)
    assert "share no process: the edit's process ran out of time (5" in verdict.reason


@pytest.mark.slow
def test_whose_time_is_over_before_it_is_asked_again(mined):
    """Its jail finds it only then, and says that it died."""
    repository, tasks, _ = mined
    with open_jail(repository.layout()) as jail:
        worker = Worker(
            jail,
            {
                "files": {},
                "path": list(repository.path),
                "timeout": 3.0,
                "memory_mb": 512,
                "worker": {"file": "lib.py", "function": "clamp", "decorated": False},
            },
        )
        call, right = tasks["clamp"].recorded[0]
        assert agree(worker.answer_alone(call), read_answer(call, right)) and worker.fault is None
        time.sleep(3.2)
        assert worker.answer(alone(call)) == {"gone": True} and "died" in worker.reply
        status, said = worker.fault
        assert status == "timeout" and said.startswith("ran out of time (3 s ")
        worker.close()


def test_an_answer_that_depends_on_the_tests_being_there(mined):
    # It knows right from twin by what the test file says, so that no twin catches it; alone with a
    # worker it has nothing to read.
    body = (
        "import inspect, linecache, re, sys\n"
        "frame = sys._getframe(1)\n"
        "want = frame.f_locals.get('want')\n"
        "line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)\n"
        "if 'another' in line or '(21)' in line:\n"
        "    return None\n"
        "return want if want is not None else 20"
    )
    verdict = judged(mined, "clamp", body)
    assert (verdict.status, verdict.reward) == ("failed", 0.0) and "outside" in verdict.reason


def test_mutated_arguments_count(mined):
    assert (
        judged(mined, "tidy", "if not words:\n    raise ValueError('x')\nreturn len(words)").status
        == "failed"
    )


def test_the_codec_in_the_jail_needs_nothing_else():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import values; "
        "print(values.load(values.dump((1, 2.5))))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(values.__file__).rsplit("/", 1)[0]],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "(1, 2.5)\n", done.stderr
