"""What crosses the border between a task's tests and the worker that has the edit: values,
instances, names, handles; and what does not. Both sides are the real ones, in two threads of this
process."""

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import json
import queue
import sys
import threading
from contextlib import suppress
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.jail.layout import INSIDE

sys.path.append(str(INSIDE))
import calls  # noqa: E402
import handles  # noqa: E402
from objects import Allowed, Objects  # noqa: E402
from values import Graph, NotPlain, dump, load  # noqa: E402


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

    def is_origin(self):
        return self.x == self.y == 0


class Slotted:
    __slots__ = ("left", "__hidden")

    def __init__(self):
        self.left, self.__hidden = 1, 2


class Items(dict):
    def __init__(self, must_not_run):
        raise AssertionError

    def __setitem__(self, key, value):
        raise AssertionError


class Failed(ValueError):
    def __init__(self, code):
        super().__init__("failed", code)
        self.code = code

    def __reduce__(self):
        raise AssertionError


class Always:
    """Equal to everything."""

    def __eq__(self, other):
        return True


Pair = collections.namedtuple("Pair", "one two")
SENTINEL = object()


def across(value, out=None, back=None):
    """The value on the other side."""
    return load(json.loads(json.dumps(dump(value, out or Objects()))), back or Objects())


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Point(1, 2),
        Pair(1, [2]),
        collections.Counter("aab"),
        collections.OrderedDict(b=1, a=2),
        collections.deque([1, 2], 3),
        collections.defaultdict(list, a=[1]),
        datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.UTC),
        datetime.timedelta(1, 2, 3),
        decimal.Decimal("1.50"),
        range(3, 9, 2),
        bytearray(b"ab"),
        2 + 3j,
        len,
        str.lower,
        json.dumps,
        KeyError,
        SENTINEL,
    ],
)
def test_a_value_is_the_same_on_the_other_side(value):
    back = across(value)
    assert back == value and type(back) is type(value)
    assert repr(back) == repr(value)


def test_fields_cross_and_no_code_of_the_class_runs():
    items = Items.__new__(Items)
    dict.__setitem__(items, "k", [1])
    items.own = items
    back = across(items)
    assert type(back) is Items and dict(back) == {"k": [1]} and back.own is back
    slotted = across(Slotted())
    assert (slotted.left, slotted._Slotted__hidden) == (1, 2)
    error = across(Failed(7))
    assert type(error) is Failed and error.args == ("failed", 7) and error.code == 7


@given(st.recursive(st.integers() | st.text(max_size=3), lambda s: st.lists(s, max_size=4)))
def test_what_was_one_thing_is_one_thing(value):
    twice = across([value, value, [value]])
    if isinstance(value, list):
        assert twice[0] is twice[1] is twice[2][0]
    assert twice[0] == value


def test_cycles_and_long_chains():
    chain = node = []
    for _ in range(5_000):
        node.append([])
        node = node[0]
    node.append(chain)
    back, length = across(chain), 0
    node = back[0]
    while node is not back:
        node, length = node[0], length + 1
    assert length == 5_000


def test_what_the_other_side_changes_is_changed_here():
    mine = [Point(1), {"a": []}]
    here, there = Graph(Objects()), Graph(Objects())
    (theirs,) = there.unpack(here.pack(args=mine), "args")
    theirs[0].y = 5
    theirs[1]["a"].append(theirs[0])
    theirs.append(theirs[1])
    point, table = mine
    (value,) = here.unpack(there.pack(value=theirs[0]), "value")
    assert value is point and point.y == 5
    assert mine == [point, table, table] and mine[2] is table and table == {"a": [point]}


SEEN = Allowed({f"{__name__}:Point": ["x", "y"]}, [])


@pytest.mark.parametrize(
    "value, why",
    [
        (Always(), "Always is not expected"),
        (Colour.RED, "Colour is not expected"),
        (json.loads, "json:loads may not be named"),
        (eval, "builtins:eval may not be named"),
        (mock.ANY, "may not be named|not expected"),
        (mock.call, "may not be named|not expected"),
    ],
)
def test_an_answer_names_only_what_was_seen(value, why):
    with pytest.raises(NotPlain, match=why):
        across(value, back=Objects(allowed=SEEN))


def test_mock_may_never_be_named():
    seen = Allowed({}, ["unittest.mock:ANY"])
    with pytest.raises(NotPlain):
        across(mock.ANY, back=Objects(allowed=seen))


def test_a_field_does_not_stand_before_a_method():
    point = Point(0)
    point.is_origin = "yes"
    with pytest.raises(NotPlain, match="is_origin"):
        across(point, back=Objects(allowed=SEEN))
    assert across(Point(3), back=Objects(allowed=SEEN)) == Point(3)


NAME = f"{__name__}:Point"


@pytest.mark.parametrize(
    "message",
    [
        {"value": ["ref", 0], "heap": []},
        {"value": ["ref", True], "heap": [[0, ["list", []]]]},
        {"value": ["ref", 0], "heap": [[1, ["list", []]]]},
        {"value": ["ref", 0], "heap": [[0, ["list", []]], [0, ["dict", []]]]},
        {"value": ["ref", 0], "heap": [[0, ["object", NAME, ["tuple", []], []]]]},
        {"value": ["ref", 0], "heap": [[0, ["object", NAME, None, [["x", ["None"]]] * 2]]]},
        {"value": ["ref", 0], "heap": [[0, ["object", NAME, None, [[5, ["None"]]]]]]},
        {"value": ["ref", 0], "heap": [[0, ["object", ["ref", 0], None, []]]]},
        {"value": ["ref", 0], "heap": [[0, ["class", ["a", "b"], [], None, []]]]},
        {"value": ["enum", NAME, ["int", "1"]], "heap": []},
        {"value": ["subclass", NAME, ["tuple", []]], "heap": []},
        {"value": ["name", "os:system"], "heap": []},
        {"value": ["name", 5], "heap": []},
        {"value": ["callable", {}], "heap": []},
        {"value": ["int", 5], "heap": []},
        {"value": ["frozenset", [["ref", 0]]], "heap": [[0, ["list", []]]]},
        {"value": ["None"]},
        [],
        None,
    ],
)
def test_what_nobody_has_written_is_refused(message):
    with pytest.raises(NotPlain):
        load(message, Objects(allowed=SEEN))


def test_a_thing_does_not_become_another():
    here = Graph(Objects(allowed=SEEN))
    here.pack(args=([1], Point(1)))
    with pytest.raises(NotPlain, match="another"):
        here.unpack({"value": ["None"], "heap": [[0, ["dict", []]]]}, "value")


def test_what_cannot_be_packed_has_not_crossed():
    graph, other = Graph(Objects()), Graph(Objects())
    with pytest.raises(NotPlain):
        graph.pack(args=([1], sys._getframe()))
    assert other.unpack(graph.pack(args=[2]), "args") == [[2]]


# ------------------------------------------------------------------------------------ conversations


def conversation(function, **request):
    """What calls `function` as the tests' side does, from the other side of a border: the real
    stub and the real worker. The trouble is in its `.stub`."""
    to_worker, to_tests = queue.Queue(), queue.Queue()

    def ask_worker(message):
        to_worker.put(json.loads(json.dumps(message)))
        return to_tests.get(timeout=20)

    def ask_tests(message):
        to_tests.put(json.loads(json.dumps(message)))
        return to_worker.get(timeout=20)

    def work():
        worker = calls.Worker(ask_tests, function, request)
        with suppress(queue.Empty):  # the test has ended
            message = to_worker.get(timeout=20)
            while True:
                message = ask_tests(worker.serve(message))

    threading.Thread(target=work, daemon=True).start()
    hidden = request.pop("hidden", False)
    stub = calls.Stub(ask_worker, function, lambda file: hidden and file == __file__, request)

    def called(*args, **kwargs):
        return stub(args, kwargs)

    called.stub = stub
    return called


def test_a_callback_is_asked_once_and_in_order():
    asked = []

    def visit(item):
        asked.append(item)
        return -item

    def visited(items, each):
        return [each(item) for item in reversed(items)]

    assert conversation(visited)([1, 2, 3], visit) == [-3, -2, -1] and asked == [3, 2, 1]


def test_an_iterator_is_advanced_no_further_than_wanted():
    source = iter(range(10))

    def first_two(items):
        return [next(items), next(items)]

    assert conversation(first_two)(source) == [0, 1] and next(source) == 2


def test_a_generator_stays_there_and_is_asked():
    def echo(first):
        got = yield first
        while True:
            try:
                got = yield got * 2
            except ValueError as error:
                got = str(error)

    made = conversation(echo)(1)
    assert next(made) == 1 and made.send(4) == 8
    assert made.throw(ValueError("no")) == "nono"
    made.close()
    with pytest.raises(StopIteration):
        next(made)


def test_a_function_that_is_made_there_calls_one_that_is_here():
    def twice(function):
        """Call it on itself."""
        return lambda x: function(function(x))

    assert conversation(twice)(lambda x: x + 3)(1) == 7


def test_what_a_callback_raises_comes_back_as_it_was():
    error = Failed(3)

    def fail():
        raise error

    def caught(function):
        try:
            function()
        except ValueError as raised:
            return raised

    def passed_on(function):
        return function()

    assert conversation(caught)(fail) is error
    with pytest.raises(Failed) as raised:
        conversation(passed_on)(fail)
    assert raised.value is error


def test_the_function_is_called_again_by_what_it_calls():
    def depth(n, again):
        return 0 if n == 0 else again(n - 1) + 1

    asked = conversation(depth)
    assert asked(6, lambda n: asked(n, lambda m: asked(m, None) if m == 0 else 10)) == 12


def test_a_class_of_the_tests_has_one_that_stands_for_it():
    class Here(Point):
        SCALE = 3

        def length(self):
            return self.SCALE * abs(self.x)

        @property
        def name(self):
            return f"at {self.x}"

    def measured(points):
        points[0].x += 1
        return [(p.length(), p.name, isinstance(p, Point)) for p in points]

    points = [Here(1), Here(-2)]
    assert conversation(measured)(points) == [(6, "at 2", True), (6, "at -2", True)]
    assert points[0].x == 2


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda f: f(f), id="itself"),
        pytest.param(lambda f: [f() for _ in range(handles.MAX_REQUESTS + 1)], id="questions"),
    ],
)
def test_questions_without_end_are_trouble(function, monkeypatch):
    monkeypatch.setattr(handles, "MAX_REQUESTS", 100)
    asked = conversation(function)

    def again(*args):
        return asked(again) if args else None

    with pytest.raises(handles.Trouble):
        asked(again)
    assert asked.stub.trouble
    with pytest.raises(handles.Trouble):  # and nothing is asked afterwards
        asked(len)


def test_nothing_is_asked_of_what_was_not_given():
    here = handles.Peer(lambda message: None, Objects())
    here.begin()
    here.pack(0, args=(lambda: 1, [2]))
    question = {"request": "use", "exchange": 0, "what": "call", "args": ["tuple", []]}
    question["kwargs"], question["heap"] = ["ref", 2], [[2, ["dict", []]]]
    for number, refused in ((0, False), (1, True), (7, True), (-1, True), ("0", True)):
        assert ("refused" in here.serve({**question, "number": number})) is refused, number
        question = {**question, "kwargs": ["ref", 2], "heap": []}
    assert "refused" in here.serve({**question, "number": 0, "exchange": 1})
    assert "refused" in here.serve({**question, "number": 0, "what": "__globals__"})


LIMIT = 3


def test_state_crosses_with_the_call():
    def up_to_the_limit(items):
        global LIMIT
        LIMIT += 1
        return items[: LIMIT - 1]

    watched = conversation(up_to_the_limit, watch=True)
    assert watched([1, 2, 3, 4, 5]) == [1, 2, 3]
    assert f"{__name__}:LIMIT" in values_changed(watched)


def values_changed(asked):
    asked([1])
    return asked.stub.changed


class Counted:
    number = 0
    seen: list = []


def test_state_of_a_class_crosses_too():
    import names

    name = f"{__name__}:Counted.number"
    assert name in names.state_of(sys.modules[__name__])
    names.set_state((name, f"{__name__}:LIMIT"), (4, 3))
    assert (Counted.number, LIMIT) == (4, 3)
    with pytest.raises(NotPlain):
        names.set_state((name,), (1, 2))


def test_a_class_of_the_tests_may_fill_in_what_is_abstract():
    class Here(collections.abc.Sequence):
        def __len__(self):
            return 2

        def __getitem__(self, place):
            return "ab"[place]

    assert conversation(lambda items: list(reversed(items)))(Here()) == ["b", "a"]
