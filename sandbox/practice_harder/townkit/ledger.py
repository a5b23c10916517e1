"""Accounts at the town's savings bank, in cents."""

from townkit.money import show_price

FEE = 50  # for every withdrawal that overdraws


class BankError(Exception):
    """Something that the bank does not do."""


class Overdrawn(BankError):
    """There is not enough on the account."""


class Closed(BankError):
    """The account is closed."""


class Account:
    """An account, which may be overdrawn down to a limit. `entries` are (what, cents) pairs."""

    def __init__(self, owner, limit=0):
        self.owner = owner
        self.limit = limit
        self.entries = []
        self.is_closed = False

    @property
    def balance(self):
        """What is on the account."""
        return sum(cents for _, cents in self.entries)

    def book(self, what, cents):
        """Note an entry and return the balance after it. Raises Closed, or Overdrawn."""
        if self.is_closed:
            raise Closed(self.owner)
        if cents < 0 and self.balance + cents < -self.limit:
            raise Overdrawn(f"{self.owner} lacks {show_price(-self.limit - self.balance - cents)}")
        self.entries.append((what, cents))
        return self.balance

    def deposit(self, cents):
        """Pay something in. Raises ValueError where it is nothing."""
        if cents <= 0:
            raise ValueError("nothing to pay in")
        return self.book("deposit", cents)

    def withdraw(self, cents):
        """Take something out. Who overdraws the account pays the FEE, too."""
        if cents <= 0:
            raise ValueError("nothing to take out")
        fee = FEE if cents > self.balance else 0
        self.book("withdrawal", -cents - fee)
        return self.balance

    def transfer(self, other, cents):
        """Send money to another account; nothing is booked where one of them cannot."""
        if other.is_closed:
            raise Closed(other.owner)
        self.book(f"to {other.owner}", -cents)
        other.book(f"from {self.owner}", cents)

    def undo(self):
        """Book the opposite of the last entry, and return that entry; None where there is none."""
        if not self.entries:
            return None
        what, cents = self.entries[-1]
        self.entries.append((f"undo {what}", -cents))
        return what, cents

    def interest(self, percent):
        """Book a year's interest, full cents only, and return it; debts cost twice the percentage.

        Nothing is booked where it is nothing.
        """
        rate = percent if self.balance >= 0 else percent * 2
        cents = int(self.balance * rate / 100)
        if cents:
            self.entries.append(("interest", cents))
        return cents

    def close(self):
        """Close the account and return what is paid out. Raises Overdrawn where there are debts."""
        if self.balance < 0:
            raise Overdrawn(self.owner)
        paid = self.balance
        self.entries.append(("closing", -paid))
        self.is_closed = True
        return paid

    def statement(self, last=5):
        """Return the lines of a statement: the last entries, numbered, and the balance."""
        first = max(len(self.entries) - last, 0)
        lines = [
            f"{number}. {what}: {show_price(cents)}"
            for number, (what, cents) in enumerate(self.entries[first:], first + 1)
        ]
        return [*lines, f"balance: {show_price(self.balance)}"]
