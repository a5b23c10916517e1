"""Roads, lanes and buses. Roads are pairs of places; lanes are a dict of place to next places."""

FARE = 120


def neighbours(roads, place):
    """Return the places that a road joins to a place, in alphabetical order."""
    found = {b if a == place else a for a, b in roads if place in (a, b)}
    return sorted(found - {place})


def dead_ends(roads):
    """Return the places to which only one other place is joined."""
    places = sorted({place for road in roads for place in road})
    return [place for place in places if len(neighbours(roads, place)) == 1]


def reachable(lanes, start):
    """Return the places that can be reached by following lanes, in alphabetical order."""
    seen, waiting = set(), [start]
    while waiting:
        for place in lanes.get(waiting.pop(), []):
            if place not in seen:
                seen.add(place)
                waiting.append(place)
    return sorted(seen)


def route(lanes, start, goal):
    """Return the places of a shortest way, both ends with it; what lanes name first is preferred.

    Returns an empty list where there is no way.
    """
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == goal:
            return way
        for place in lanes.get(way[-1], []):
            if place not in seen:
                seen.add(place)
                ways.append([*way, place])
    return []


def work_order(needs):
    """Put the steps of a plan in order, what they need first; needs is a dict of step to steps.

    Raises ValueError where that cannot be done.
    """
    order, left = [], sorted({*needs, *(step for steps in needs.values() for step in steps)})
    while left:
        ready = [step for step in left if set(needs.get(step, [])) <= set(order)]
        if not ready:
            raise ValueError("the plan goes round in a circle")
        order.append(ready[0])
        left.remove(ready[0])
    return order


def bus_fare(stops):
    """Return the fare of a ride: FARE a leg, doubled between stops with the same initial."""
    total = 0
    for here, there in zip(stops, stops[1:]):
        total += FARE * 2 if here[0] == there[0] else FARE
    return total


def tour_length(distances, stops):
    """Add up the distances along the stops; (a, b) in the dict serves both ways.

    Raises ValueError where there is no road.
    """
    length = 0
    for leg in zip(stops, stops[1:]):
        if leg not in distances and leg[::-1] not in distances:
            raise ValueError(f"no road from {leg[0]} to {leg[1]}")
        length += distances.get(leg, distances.get(leg[::-1]))
    return length


def districts(roads):
    """Return the groups of places that hang together, the largest first."""
    lanes = {}
    for a, b in roads:
        lanes.setdefault(a, []).append(b)
        lanes.setdefault(b, []).append(a)
    groups = {tuple(reachable(lanes, place)) for place in lanes}
    return sorted((list(group) for group in groups), key=lambda group: (-len(group), group))
