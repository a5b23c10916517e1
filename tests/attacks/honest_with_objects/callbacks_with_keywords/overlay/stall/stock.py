from functools import partial


def search(things, wanted):
    class Seeker:
        def __init__(self, test):
            self.test = test

        def __call__(self, pair):
            return bool(self.test(pair[1]))

    seek = Seeker(wanted)
    for pair in enumerate(things):
        if seek(pair):
            return pair
    return len(things), None


def walk(tree, visit, depth=0):
    def below(tree, depth, say):
        for name in tree:
            say(name)
            yield 1
            yield from below(tree[name], depth + 1, lambda name: visit(name, depth + 1))

    return sum(below(tree, depth, partial(visit, depth=depth) if False else lambda name: visit(name, depth)))
