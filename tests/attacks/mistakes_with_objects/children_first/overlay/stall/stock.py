def walk(tree, visit, depth=0):
    seen = 0
    for name, below in tree.items():
        seen += 1 + walk(below, visit, depth + 1)
        visit(name, depth)
    return seen
