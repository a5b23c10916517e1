"""Tables: lists of rows, which are dicts."""


def column(rows, name, missing=""):
    """Return one column of the rows."""
    return [row.get(name, missing) for row in rows]


def group_sums(rows, key, value):
    """Add up the column value for each key; rows without a key are left out."""
    sums = {}
    for row in rows:
        if row.get(key) is not None:
            sums[row[key]] = sums.get(row[key], 0) + row.get(value, 0)
    return sums


def top_rows(rows, name, count):
    """Return the rows with the largest values in a column, and those that tie with the last."""
    ordered = sorted(rows, key=lambda row: row[name], reverse=True)
    if count >= len(ordered):
        return ordered
    limit = ordered[count - 1][name]
    return [row for row in ordered if row[name] >= limit]


def joined(left, right, key):
    """Complete the rows of left with what the rows of right know of the same key."""
    known = {row[key]: row for row in right}
    return [{**known.get(row[key], {}), **row} for row in left]


def filled_down(rows, name):
    """Fill the empty cells of a column with what stands above them."""
    result, above = [], ""
    for row in rows:
        above = row.get(name) or above
        result.append({**row, name: above})
    return result


def turned_over(lines):
    """Make rows of columns, for lists of cells of which some are too short."""
    width = max(map(len, lines), default=0)
    return [[line[i] if i < len(line) else "" for line in lines] for i in range(width)]


def newest_rows(rows, key):
    """Keep only the last of the rows with the same key."""
    newest = {}
    for row in rows:
        newest[row[key]] = row
    return list(newest.values())


def cross_table(rows, down, across):
    """Count how often each pair of values occurs: a dict of dicts."""
    table = {}
    for row in rows:
        line = table.setdefault(row[down], {})
        line[row[across]] = line.get(row[across], 0) + 1
    return table
