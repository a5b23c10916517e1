"""What lies in the town's storehouse."""

from dataclasses import dataclass


@dataclass
class Item:
    """Things of one name: how many there are, what one costs in cents, and where they lie."""

    name: str
    count: int = 0
    cents: int = 0
    shelf: str = "floor"

    def value(self):
        """Return what all of them are worth."""
        return self.count * self.cents

    def is_low(self, limit=3):
        """Tell whether some should be ordered. What lies on the floor is ordered earlier."""
        return self.count <= (limit * 2 if self.shelf == "floor" else limit)


class Inventory:
    """All items, by name. A name is known in small letters."""

    def __init__(self):
        self.items = {}

    def item(self, name):
        """Return the item of a name. Raises KeyError where there never was any."""
        key = name.strip().lower()
        if key not in self.items:
            raise KeyError(f"no {key}")
        return self.items[key]

    def add(self, name, count=1, cents=None):
        """Put some into the store and return how many there are now. A price given is the new one.

        Raises ValueError where nothing is added.
        """
        if count < 1:
            raise ValueError("nothing to add")
        key = name.strip().lower()
        item = self.items.setdefault(key, Item(key))
        item.count += count
        if cents is not None:
            item.cents = cents
        return item.count

    def take(self, name, count=1):
        """Take some out, as many as there are, and return how many these were."""
        item = self.item(name)
        taken = min(count, item.count)
        item.count -= taken
        return taken

    def put_on(self, shelf, *names):
        """Let the items of these names lie on a shelf. Returns the items that lie on it now."""
        for name in names:
            self.item(name).shelf = shelf
        return sorted(key for key, item in self.items.items() if item.shelf == shelf)

    def to_order(self, limit=3):
        """Return the names of the items that are low, those with the fewest first."""
        low = [item for item in self.items.values() if item.is_low(limit)]
        return [item.name for item in sorted(low, key=lambda item: (item.count, item.name))]

    def worth(self, shelf=None):
        """Return what the items on a shelf are worth, or all of them."""
        return sum(item.value() for item in self.items.values() if shelf in (None, item.shelf))

    def rename(self, old, new):
        """Give the item another name. What is there of that name already is added to it."""
        item, key = self.item(old), new.strip().lower()
        del self.items[item.name]
        count = self.items[key].count if key in self.items else 0
        self.items[key] = Item(key, item.count + count, item.cents, item.shelf)
        return self.items[key]

    def fill_up(self, targets):
        """Return what must be bought so that there is as much as targets says: name to count."""
        have = {name: item.count for name, item in self.items.items()}
        needed = {name: count - have.get(name, 0) for name, count in targets.items()}
        return {name: count for name, count in needed.items() if count > 0}
