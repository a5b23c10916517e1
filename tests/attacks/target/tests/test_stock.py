import pytest

from stall import stock
from stall.stock import (
    Crate,
    Grade,
    Ledger,
    Offer,
    OutOfStock,
    Shelf,
    batches,
    grade_of,
    grouped,
    peaks,
    search,
    take_until,
    ticket,
    walk,
)


@pytest.fixture
def shelf():
    made = Shelf("front")
    made.items = {"apple": (5, 30), "pear": (2, 45), "plum": (12, 8)}
    return made


class ByTheDozen(Offer):
    """An offer of the tests' own."""

    def rate(self, name, count):
        return self.percent * (count // 12)


class NotOnPears(Offer):
    def rate(self, name, count):
        return 0 if name == "pear" else super().rate(name, count)


# ---- a shelf


@pytest.mark.parametrize("name, count, price, want", [("apple", 3, 30, (8, 30)), ("pear", 1, 50, (3, 50)), ("fig", 7, 60, (7, 60)), ("plum", 20, 5, (32, 5))])
def test_put(shelf, name, count, price, want):
    assert shelf.put(name, count, price) is shelf
    assert shelf.items[name] == want
    assert shelf.log == [f"+{count} {name}"]


def test_put_twice():
    shelf = Shelf("back").put("fig", 2, 60).put("fig", 3, 55)
    assert shelf.items == {"fig": (5, 55)}
    assert shelf.log == ["+2 fig", "+3 fig"]


@pytest.mark.parametrize("count", [0, -4])
def test_put_refuses(shelf, count):
    with pytest.raises(ValueError):
        shelf.put("apple", count, 30)
    assert shelf.items["apple"] == (5, 30)


@pytest.mark.parametrize("name, count, cost, left", [("apple", 2, 60, (3, 30)), ("pear", 1, 45, (1, 45)), ("plum", 10, 80, (2, 8)), ("apple", 5, 150, None), ("pear", 2, 90, None)])
def test_take(shelf, name, count, cost, left):
    assert shelf.take(name, count) == cost
    assert shelf.items.get(name) == left
    assert shelf.log == [f"-{count} {name}"]


def test_take_leaves_the_others(shelf):
    shelf.take("plum", 1)
    assert shelf.items == {"apple": (5, 30), "pear": (2, 45), "plum": (11, 8)}


@pytest.mark.parametrize("name, wanted, left", [("apple", 6, 5), ("fig", 1, 0), ("plum", 100, 12)])
def test_take_too_much(shelf, name, wanted, left):
    with pytest.raises(OutOfStock) as caught:
        shelf.take(name, wanted)
    assert (caught.value.name, caught.value.wanted, caught.value.left) == (name, wanted, left)
    assert shelf.log == []


def test_worth(shelf):
    assert shelf.worth() == 336


@pytest.mark.parametrize("items, want", [({}, 0), ({"fig": (3, 7)}, 21), ({"a": (1, 1), "b": (2, 10), "c": (3, 100)}, 321), ({"nut": (40, 2), "fig": (0, 60)}, 80)])
def test_worth_of(items, want):
    shelf = Shelf("other")
    shelf.items = items
    assert shelf.worth() == want


def test_merged(shelf):
    other = Shelf("back")
    other.items = {"apple": (1, 25), "fig": (4, 60), "pear": (3, 50)}
    both = shelf.merged(other)
    assert both is not shelf and both.label == "front" and type(both) is Shelf
    assert both.items == {"apple": (6, 25), "pear": (5, 45), "plum": (12, 8), "fig": (4, 60)}
    assert shelf.items["apple"] == (5, 30) and other.items["apple"] == (1, 25)


def test_merged_with_nothing(shelf):
    assert shelf.merged(Shelf("back")).items == shelf.items
    assert Shelf("back").merged(shelf).items == shelf.items


def test_merged_three(shelf):
    more = Shelf("x")
    more.items = {"fig": (2, 70)}
    assert shelf.merged(more).merged(more).items["fig"] == (4, 70)
    assert more.merged(more).items == {"fig": (4, 70)}


# ---- crates and grades


@pytest.mark.parametrize("days, grade", [(0, Grade.FRESH), (1, Grade.OLD), (2, Grade.OLD), (3, Grade.STALE), (9, Grade.STALE)])
def test_aged(days, grade):
    crate = Crate("fig", 12)
    assert crate.aged(days) == Crate("fig", 12, grade)
    assert crate.grade is Grade.FRESH


def test_aged_of_old_ones():
    assert Crate("plum", 3, Grade.OLD).aged(1) == Crate("plum", 3, Grade.OLD)
    assert Crate("plum", 3, Grade.OLD).aged(2).grade is Grade.STALE
    assert Crate("nut", 80, Grade.STALE).aged(0).grade is Grade.STALE


@pytest.mark.parametrize("count, moved, left", [(5, 5, 7), (12, 12, 0), (30, 12, 0), (0, 0, 12), (-3, 0, 12)])
def test_split(count, moved, left):
    crate = Crate("pear", 12, Grade.OLD)
    assert crate.split(count) == Crate("pear", moved, Grade.OLD)
    assert crate.count == left


def test_split_of_others():
    crate = Crate("nut", 100)
    parts = [crate.split(40), crate.split(25), crate.split(50)]
    assert [part.count for part in parts] == [40, 25, 35]
    assert crate == Crate("nut", 0)


@pytest.mark.parametrize("days, want", [(0, Grade.FRESH), (1, Grade.OLD), (2, Grade.OLD), (3, Grade.STALE), (8, Grade.STALE)])
def test_grade_of(days, want):
    assert grade_of(days) is want


@pytest.mark.parametrize("days", [-1, -5])
def test_grade_of_refuses(days):
    with pytest.raises(ValueError):
        grade_of(days)


# ---- a ledger and offers


@pytest.mark.parametrize("name, amount, want", [("ann", 5, 25), ("bob", 7, 7), ("cyd", -15, -20), ("ann", -20, 0)])
def test_book(name, amount, want):
    ledger = Ledger(ann=20, cyd=-5)
    assert ledger.book(name, amount) == want
    assert ledger.get(name, 0) == want and (name in ledger) == bool(want)


def test_book_twice():
    ledger = Ledger()
    assert [ledger.book("ann", 4), ledger.book("bob", 9), ledger.book("ann", 2)] == [4, 9, 6]
    assert ledger == {"ann": 6, "bob": 9}


@pytest.mark.parametrize("count, want", [(1, ["bob"]), (2, ["bob", "ann"]), (3, ["bob", "ann", "cyd"]), (9, ["bob", "ann", "cyd", "dee"]), (0, [])])
def test_top(count, want):
    assert Ledger(ann=30, bob=50, cyd=30, dee=-2).top(count) == want


def test_top_of_few():
    assert Ledger().top(3) == []
    assert Ledger(zoe=1, yan=1, xia=8).top(2) == ["xia", "yan"]


LINES = [("apple", 12, 30), ("pear", 30, 45), ("plum", 5, 9), ("apple", 1, 30)]


@pytest.mark.parametrize("percent, want", [(0, {"apple": 390, "pear": 1350, "plum": 45}), (10, {"apple": 351, "pear": 1215, "plum": 40}), (33, {"apple": 261, "pear": 904, "plum": 30})])
def test_apply(percent, want):
    assert Offer(percent).apply(LINES) == want


def test_apply_of_an_own_offer():
    assert ByTheDozen(10).apply(LINES) == {"apple": 354, "pear": 1080, "plum": 45}
    assert ByTheDozen(25).apply(LINES[:2]) == {"apple": 270, "pear": 675}
    assert NotOnPears(50).apply(LINES[1:]) == {"pear": 1350, "plum": 22, "apple": 15}


def test_apply_to_nothing():
    assert Offer(20).apply([]) == {}


# ---- functions that are given functions


@pytest.mark.parametrize("words, want", [(["fig", "apple", "nut", "grape"], {3: ["fig", "nut"], 5: ["apple", "grape"]}), ([], {}), (["a", "bb", "c"], {1: ["a", "c"], 2: ["bb"]})])
def test_grouped_by_length(words, want):
    assert grouped(words, len) == want


def test_grouped_by_a_function_of_its_own():
    assert grouped([5, 12, 7, 30, 44], lambda n: n % 5) == {0: [5, 30], 2: [12, 7], 4: [44]}
    assert grouped([("x", 1), ("y", 2), ("x", 3)], lambda pair: pair[0]) == {"x": [("x", 1), ("x", 3)], "y": [("y", 2)]}


def test_grouped_asks_once():
    asked = []

    def key(thing):
        asked.append(thing)
        return thing > 3

    assert grouped([1, 5, 2, 9], key) == {False: [1, 2], True: [5, 9]}
    assert asked == [1, 5, 2, 9]


@pytest.mark.parametrize("things, want", [([1, 3, 8, 5, 4], (2, 8)), ([2], (0, 2)), ([7, 9, 11], (3, None)), ([], (0, None)), ([5, 5, 5, 6], (3, 6))])
def test_search(things, want):
    assert search(things, lambda n: n % 2 == 0) == want


def test_search_for_words():
    assert search(["fig", "pear", "apple"], lambda word: word.startswith("a")) == (2, "apple")
    assert search(["fig", "pear"], str.isupper) == (2, None)


def test_search_asks_no_more_than_it_must():
    asked = []
    assert search([3, 4, 5], lambda n: asked.append(n) or n > 3) == (1, 4)
    assert asked == [3, 4]


TREE = {"fruit": {"pome": {"apple": {}, "pear": {}}, "stone": {"plum": {}}}, "nuts": {}}


def test_walk():
    seen = []
    assert walk(TREE, lambda name, depth: seen.append((depth, name))) == 7
    assert seen == [(0, "fruit"), (1, "pome"), (2, "apple"), (2, "pear"), (1, "stone"), (2, "plum"), (0, "nuts")]


@pytest.mark.parametrize("tree, count, deepest", [({}, 0, 0), ({"a": {}}, 1, 0), ({"a": {"b": {"c": {}}}, "d": {}}, 4, 2), (TREE["fruit"], 5, 1)])
def test_walk_counts(tree, count, deepest):
    depths = [0]
    assert walk(tree, lambda name, depth: depths.append(depth)) == count
    assert max(depths) == deepest


# ---- generators and iterators


@pytest.mark.parametrize("items, size, want", [([1, 2, 3, 4, 5], 2, [[1, 2], [3, 4], [5]]), ([1, 2, 3, 4], 4, [[1, 2, 3, 4]]), ([], 3, []), (["a", "b"], 5, [["a", "b"]]), ([9, 8, 7], 1, [[9], [8], [7]])])
def test_batches(items, size, want):
    assert list(batches(items, size)) == want


def test_batches_come_one_by_one():
    made = batches(iter([1, 2, 3]), 2)
    assert next(made) == [1, 2]
    assert next(made) == [3]
    with pytest.raises(StopIteration):
        next(made)


@pytest.mark.parametrize("size", [0, -2])
def test_batches_refuse(size):
    with pytest.raises(ValueError):
        list(batches([1, 2], size))


@pytest.mark.parametrize("numbers, want", [([3, 1, 4, 1, 5], [3, 3, 4, 4, 5]), ([9, 8], [9, 9]), ([], []), ([-5, -7, -2], [-5, -5, -2]), ([0, 2, 2, 1], [0, 2, 2, 2])])
def test_peaks(numbers, want):
    assert list(peaks(numbers)) == want


def test_peaks_of_an_iterator():
    source = iter([2, 6, 4, 8])
    found = peaks(source)
    assert [next(found), next(found)] == [2, 6]
    assert next(source) == 4


@pytest.mark.parametrize("numbers, limit, want", [([3, 4, 5, 6], 10, (3, 12)), ([3, 4], 100, (2, 7)), ([20, 1], 20, (1, 20)), ([], 5, (0, 0)), ([1, 1, 1, 1], 0, (0, 0))])
def test_take_until(numbers, limit, want):
    assert take_until(iter(numbers), limit) == want


def test_take_until_leaves_the_rest():
    numbers = iter([5, 6, 7, 8])
    assert take_until(numbers, 10) == (2, 11)
    assert list(numbers) == [7, 8]


# ---- what is kept


def test_ticket(monkeypatch):
    monkeypatch.setattr(stock, "tickets", 0)
    assert [ticket("a"), ticket("a"), ticket("b")] == ["a-1", "a-2", "b-3"]


@pytest.mark.parametrize("before, prefix, want", [(7, "q", "q-8"), (99, "line", "line-100"), (41, "", "-42")])
def test_ticket_goes_on(monkeypatch, before, prefix, want):
    monkeypatch.setattr(stock, "tickets", before)
    assert ticket(prefix) == want
    assert stock.tickets == before + 1
