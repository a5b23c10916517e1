"""A small shop with a past: a rename, a merge, a squashed branch, changes that later ones overlap,
and tests that fail today."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

MONEY = '''"""Prices in cents."""


def discounted(price, percent):
    """Return the price less percent per cent, rounded down."""
    return price * (100 - percent) // 100


def largest(prices):
    """Return the largest of the prices."""
    found = prices[0]
    for price in prices:
        if price > found:
            found = price
    return found


def split(total, people):
    """Return what each of the people pays; the first ones pay the odd cents."""
    return [total // people] * people


def joined(prices):
    """Return the prices as one text."""
    return ",".join(str(price) for price in prices)


def taxed(price):
    """Return the price with tax."""
    return price + price * 16 // 100


def currency():
    return "DM"
'''
CART = '''"""A cart of things."""
from shop.price import discounted, largest


class Cart:
    """Things and their prices."""

    def __init__(self):
        self.things = {}

    def add(self, name, price):
        """Put the thing in the cart."""
        self.things[name] = (price, 1)

    def total(self, percent=0):
        """Return what all things cost, less percent per cent."""
        total = 0
        for price, count in self.things.values():
            total += price
        return discounted(total, percent)

    def dearest(self):
        """Return the price of the dearest thing."""
        return largest([price for price, _ in self.things.values()])

    def lines(self):
        """Return one line for each thing."""
        return [f"{count} x {name}" for name, (_, count) in sorted(self.things.items())]
'''
TEST_MONEY = '''import pytest

from shop import price as money


def test_discounted():
    assert money.discounted(1000, 15) == 850


def test_discounted_rounds_down():
    assert money.discounted(999, 50) == 499


def test_largest():
    assert money.largest([3, 7, 5]) == 7


def test_split_evenly():
    assert money.split(9, 3) == [3, 3, 3]
'''
TEST_CART = '''import pytest

from shop.cart import Cart


@pytest.fixture
def cart():
    cart = Cart()
    cart.add("tea", 600)
    cart.add("pot", 1500)
    return cart


def test_total(cart):
    assert cart.total() == 2100


def test_total_with_discount(cart):
    assert cart.total(10) == 1890


def test_dearest(cart):
    assert cart.dearest() == 1500


def test_lines_of_nothing():
    assert Cart().lines() == []
'''
TEST_TODAY = '''from shop.cart import Cart
from shop.money import currency


def test_lines_in_the_order_of_the_cart():
    cart = Cart()
    cart.add("tea", 300)
    cart.add("pot", 1500)
    assert cart.lines() == ["1 x tea", "1 x pot"]


def test_nothing_of_ours():
    assert [] == [1]


def test_currency():
    assert currency() == "EUR"
'''


class _Past:
    """Writes commits, a day apart."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.day, self.commits = folder, 0, {}
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        when = f"2024-03-{self.day:02}T12:00:00+00:00"
        environment = {
            **os.environ,
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_DATE": when,
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        return subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=self.folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))

    def change(self, name: str, *changes: tuple[str, str]) -> None:
        """Replace each old text, which stands there once, by the new one."""
        text = (self.folder / name).read_bytes().decode("utf-8", "surrogateescape")
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
            text = text.replace(old, new)
        self.write({name: text})

    def test(self, name: str, source: str) -> None:
        """Add a test to tests/test_{name}.py."""
        with open(self.folder / f"tests/test_{name}.py", "a") as file:
            file.write(f"\n\n{source}")

    def commit(self, name: str, message: str) -> None:
        self.day += 1
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        self.commits[name] = self.git("rev-parse", "HEAD").strip()


def make_shop(folder: Path) -> dict[str, str]:
    """Write the repository; returns {short name: hash} of its commits."""
    past = _Past(folder)
    past.write(
        {
            "shop/__init__.py": "",
            "shop/price.py": MONEY,
            "shop/cart.py": CART,
            "tests/test_money.py": TEST_MONEY,
            "tests/test_cart.py": TEST_CART,
        }
    )
    past.commit("start", "Start")

    past.change(
        "shop/price.py",
        (
            "    return [total // people] * people\n",
            "    share, odd = divmod(total, people)\n    return [share + 1] * odd + [share] * "
            "(people - odd)\n",
        ),
    )
    past.test(
        "money",
        "def test_split():\n    assert money.split(10, 3) == [4, 3, 3]\n\n\ndef "
        "test_split_alone():\n    assert money.split(7, 1) == [7]\n",
    )
    past.commit(
        "split",
        "Nobody pays for the odd cents twice\n\nThe odd cents were lost; now the first ones pay "
        "them.\n\n"
        "    share, odd = divmod(total, people)\n\nFixes: #7\nSigned-off-by: T <t@example.org>\n",
    )

    past.change(
        "shop/cart.py",
        ("    def add(self, name, price):\n", "    def add(self, name, price, count=1):\n"),
        (
            '        """Put the thing in the cart."""\n        self.things[name] = (price, 1)\n',
            '        """Put count of the things in the cart."""\n        if count < 1:\n           '
            ' raise ValueError("nothing to add")\n'
            "        before = self.things.get(name, (price, 0))[1]\n        self.things[name] = "
            "(price, before + count)\n",
        ),
        ("            total += price\n", "            total += price * count\n"),
    )
    past.change("tests/test_cart.py", ('cart.add("tea", 600)', 'cart.add("tea", 300, 2)'))
    past.test(
        "cart",
        'def test_lines(cart):\n    assert cart.lines() == ["1 x pot", "2 x tea"]\n\n\n'
        'def test_nothing_to_add(cart):\n    with pytest.raises(ValueError):\n        '
        'cart.add("cup", 100, 0)\n',
    )
    past.commit(
        "counts",
        "Count the things in the cart\n\nA thing may now be added more than "
        "once:\n\n```\ncart.add('tea', 300, 2)\n```\n",
    )

    past.change("shop/price.py", ('"DM"', '"Euro"'))
    past.write({"README": "A shop.\n"})
    past.commit("source alone", "The Euro")

    past.git("mv", "shop/price.py", "shop/money.py")
    past.change("shop/cart.py", ("from shop.price import", "from shop.money import"))
    past.change(
        "tests/test_money.py", ("from shop import price as money", "from shop import money")
    )
    past.commit("rename", "Prices are money")

    past.change(
        "shop/money.py",
        (
            "    return price * (100 - percent) // 100\n",
            '    if not 0 <= percent <= 100:\n        raise ValueError("no such discount")\n    '
            'return price * (100 - percent) // 100\n',
        ),
    )
    past.test(
        "money",
        '@pytest.mark.parametrize("percent", [-1, 101])\ndef test_no_such_discount(percent):\n    '
        'with pytest.raises(ValueError):\n'
        "        money.discounted(100, percent)\n",
    )
    past.commit(
        "checked",
        "Refuse a discount that is none\n\nIt says `if not 0 <= percent <= 100:` first of all.\n",
    )

    past.git("checkout", "-qb", "tax")
    past.change(
        "shop/money.py",
        (
            'def taxed(price):\n    """Return the price with tax."""\n    return price + price * '
            '16 // 100\n',
            'def taxed(price, rate=19):\n    """Return the price with tax."""\n    return price + '
            'price * rate // 100\n',
        ),
    )
    past.test(
        "money",
        "def test_taxed():\n    assert money.taxed(1000) == 1190\n\n\ndef "
        "test_taxed_at_another_rate():\n    assert money.taxed(1000, rate=7) == 1070\n",
    )
    past.commit("tax", "Tax at any rate")
    past.git("checkout", "-q", "main")
    past.write({"README": "A small shop.\n"})
    past.commit("readme", "Readme")
    past.day += 1
    past.git("merge", "-q", "--no-ff", "-m", "Merge tax", "tax")
    past.commits["merge"] = past.git("rev-parse", "HEAD").strip()

    past.change(
        "shop/money.py",
        (
            'def joined(prices):\n    """Return the prices as one text."""\n    return ",".join',
            'def joined(prices, mark=" "):\n    """Return the prices as one text."""\n    return '
            'mark.join',
        ),
    )
    past.test("money", 'def test_joined():\n    assert money.joined([1, 2], "-") == "1-2"\n')
    past.commit("mark", "Any mark between prices")
    past.change("shop/money.py", ('mark=" "', 'mark=" + "'))
    past.test("money", 'def test_joined_with_plus():\n    assert money.joined([1, 2]) == "1 + 2"\n')
    past.commit("plus", "A plus between prices")

    past.change(
        "shop/money.py",
        (
            '    """Return the largest of the prices."""\n    found = prices[0]\n',
            '    """Return the largest of the prices, 0 where there are none."""\n    found = 0\n',
        ),
    )
    past.change(
        "shop/cart.py",
        (
            "return largest([price for price, _ in self.things.values()])",
            "return largest(price for price, _ in self.things.values())",
        ),
    )
    past.test("money", "def test_largest_of_none():\n    assert money.largest([]) == 0\n")
    past.test("cart", "def test_dearest_of_nothing():\n    assert Cart().dearest() == 0\n")
    past.commit(
        "squash",
        "An empty cart has a dearest thing, too (#12)\n\n* largest of nothing\n* and for "
        "carts\n\nCo-authored-by: U <u@example.org>\n",
    )

    past.write({"tests/test_today.py": TEST_TODAY})
    past.commit("today", "What is to be done")
    return past.commits


@functools.cache
def mined_shop():
    """(repository, what was mined of all kinds), once for all tests of a session."""
    from sandbox.judge.verdict import Limits
    from sandbox.repo import open_repository
    from sandbox.tasks.kinds import KINDS
    from sandbox.tasks.mine import MiningOptions, mine

    folder = Path(tempfile.mkdtemp(prefix="shop-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_shop(folder / "shop")
    (folder / "run").mkdir()
    repository = open_repository(folder / "shop")
    return repository, mine(
        repository,
        Limits(workers=2),
        folder / "run",
        MiningOptions(heldout=0.3, kinds=KINDS),
        lambda *_: None,
    )
