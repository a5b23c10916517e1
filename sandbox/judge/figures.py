"""Figures that come out of a jail. Whatever measured them shared a process with code of the
project, so each is taken only where it can be true, beside what was measured out here."""

import os
from collections.abc import Iterable
from typing import TypeGuard


def seconds_of(reported: object, tests: Iterable[str], wall: float) -> dict[str, float]:
    """{test: seconds} for all of the tests. `reported` is what the jail has for them; `wall` the
    seconds that the request took out here, of which a figure that cannot be true gets an even
    share of what the others leave."""
    tests, reported = list(tests), reported if isinstance(reported, dict) else {}
    true: dict[str, float] = {}
    for test in tests:
        if is_figure(figure := reported.get(test), wall):
            true[test] = figure
    if sum(true.values()) > wall:
        true = {}
    share = (wall - sum(true.values())) / max(1, len(tests) - len(true))
    return {test: true.get(test, share) for test in tests}


def processor_seconds(reported: object, wall: float) -> float:
    """Processor time of what has been there for `wall` seconds; that, where it cannot be true."""
    return reported if is_figure(reported, wall * (os.cpu_count() or 1)) else wall


def is_figure(value: object, most: float) -> TypeGuard[float]:
    """Whether it is a number (no bool), not below zero and not above `most`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= most


def is_progress(value: object) -> bool:
    """Whether it is [tests done, tests in all]."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and is_figure(value[1], float("inf"))
        and is_figure(value[0], value[1])
    )
