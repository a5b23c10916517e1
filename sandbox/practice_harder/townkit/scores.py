"""Points and places at the town's games."""

AWARDS = ((90, "gold"), (75, "silver"), (60, "bronze"))


def award(points):
    """Return the award for so many points, or '-'."""
    for limit, name in AWARDS:
        if points >= limit:
            return name
    return "-"


def judged(marks):
    """Return the sum of the judges' marks. Of four or more, best and worst do not count."""
    if len(marks) < 4:
        return sum(marks)
    return sum(sorted(marks)[1:-1])


def places(points):
    """Return the place of each name in a dict of points; who ties gets the worse place."""
    return {
        name: sum(1 for other in points.values() if other >= mine) for name, mine in points.items()
    }


def league_points(results, at_home=True):
    """Add up a team's points over results such as '2:1', its own goals first.

    A win away counts one point more than at home.
    """
    total = 0
    for result in results:
        own, other = map(int, result.split(":"))
        if own > other:
            total += 3 if at_home else 4
        elif own == other:
            total += 1
    return total


def streak(letters):
    """Return the streak at the end of a row of results such as 'WWLDD', as '2 x D'."""
    if not letters:
        return ""
    last = letters[-1]
    return f"{len(letters) - len(letters.rstrip(last))} x {last}"


def elected(votes):
    """Return who is elected by votes, a list of names."""
    counts = {}
    for name in votes:
        counts[name] = counts.get(name, 0) + 1
    return max(counts, key=counts.get, default=None)


def improved(before, after):
    """Return the names that have more points than before, the largest step first."""
    steps = {name: points - before.get(name, 0) for name, points in after.items()}
    better = [name for name in steps if steps[name] > 0]
    return sorted(better, key=lambda name: (-steps[name], name))


def finish_times(starts, times):
    """Return (name, seconds) of a run with staggered starts, fastest first.

    Both are dicts of name to seconds on the same clock; who did not arrive has no time.
    """
    needed = [(name, times[name] - starts.get(name, 0)) for name in times]
    return sorted(needed, key=lambda pair: (pair[1], pair[0]))


def word_points(word):
    """Return the points of a word in the town's word game: vowels 1, others 2, and long ones more.

    Every letter after the fifth counts double.
    """
    values = [1 if letter in "aeiou" else 2 for letter in word.lower() if letter.isalpha()]
    return sum(values) + sum(values[5:])


def pairings(names):
    """Pair the first with the last, the second with the last but one, and so on, for a cup."""
    half = len(names) // 2
    games = list(zip(names[:half], names[::-1]))
    return games + [(names[half], "free")] if len(names) % 2 else games
