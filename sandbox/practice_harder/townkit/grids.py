"""Maps of gardens and fields: lists of strings of the same length."""

STEPS = {"N": (-1, 0), "E": (0, 1), "S": (1, 0), "W": (0, -1)}


def mark_at(grid, row, column):
    """Return what stands at a place of the map. Outside of it everything is water, '~'."""
    inside = 0 <= row < len(grid) and 0 <= column < len(grid[0])
    return grid[row][column] if inside else "~"


def beside(grid, row, column):
    """Return the marks north, east, south and west of a place, as one string."""
    return "".join(mark_at(grid, row + down, column + right) for down, right in STEPS.values())


def trees_around(grid, row, column):
    """Count the trees, 'T', on the eight places around a place."""
    count = 0
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if (down or right) and mark_at(grid, row + down, column + right) == "T":
                count += 1
    return count


def places_of(grid, mark):
    """Return the (row, column) of every place with a mark, from west to east."""
    found = [(r, c) for r, line in enumerate(grid) for c, m in enumerate(line) if m == mark]
    return sorted(found, key=lambda place: (place[1], place[0]))


def walk(grid, row, column, moves):
    """Return where a walk of moves such as 'NNE' ends. Hedges, '#', and water let nobody pass."""
    for move in moves:
        down, right = STEPS[move]
        if mark_at(grid, row + down, column + right) not in "#~":
            row, column = row + down, column + right
    return row, column


def field_size(grid, row, column):
    """Return how many places with the same mark hang together with this one; water is no field."""
    mark, seen, waiting = mark_at(grid, row, column), set(), [(row, column)]
    if mark == "~":
        return 0
    while waiting:
        r, c = waiting.pop()
        if (r, c) not in seen and mark_at(grid, r, c) == mark:
            seen.add((r, c))
            waiting += [(r + down, c + right) for down, right in STEPS.values()]
    return len(seen)


def rim(grid):
    """Return the marks along the rim of a map, clockwise from the north-west corner."""
    if len(grid) < 2:
        return "".join(grid)
    east = "".join(line[-1] for line in grid[1:-1])
    west = "".join(line[0] for line in grid[1:-1])
    return grid[0] + east + grid[-1][::-1] + west[::-1]


def walking_cost(start, goal):
    """Return the cost of the way between two places: a straight step costs 2, a slanting one 3."""
    down, right = abs(start[0] - goal[0]), abs(start[1] - goal[1])
    return 3 * min(down, right) + 2 * abs(down - right)


def next_year(grid):
    """Return the map a year later: a tree grows on a bare place, '.', beside exactly two trees."""
    return [
        "".join(
            "T" if mark == "." and beside(grid, r, c).count("T") == 2 else mark
            for c, mark in enumerate(line)
        )
        for r, line in enumerate(grid)
    ]
