"""What a person reads of a search for fixes."""

import textwrap

from recipes.fixing.attempts import Outcome
from recipes.fixing.search import Search
from sandbox.node_ids import function_of


def lines(outcome: Outcome, width: int) -> list[str]:
    """What a person reads of an outcome, beside the diff."""
    return [
        part
        for sentence in _sentences(outcome)
        for part in textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False)
    ]


def _sentences(outcome: Outcome) -> list[str]:
    task, best = outcome.task, outcome.best
    tests = _counted(len(task.FAIL_TO_PASS), "failing test")
    first = function_of(task.FAIL_TO_PASS[0])
    more = sorted(set(map(function_of, task.FAIL_TO_PASS)) - {first})
    title = first + (f" and {len(more)} more" if more else "")
    if outcome.fixed:
        best, proof = outcome.fix, outcome.fix.proven
        others = _counted(len(proof.tests) - len(proof.silent), "other test")
        sentences = [
            f"Mended: {title} ({_counted(outcome.samples, 'edit')} tried; the smallest that holds "
            f"adds or takes away {_counted(best.size[0], 'line')}).",
            f"Verified in the jail: the {tests} and "
            f"{_counted(len(task.PASS_TO_PASS), 'other test')} of the same functions; all of "
            f"these again in a fresh process; {others} beside them that can see the change "
            f"({', '.join(proof.changed)}); and two runs of the suite.",
        ]
        sentences[:0] = _turns(best.episode)
        if proof.silent:
            sentences.append(
                f"{_counted(len(proof.silent), 'other test')} cannot be run without the rest of "
                "the suite, and said nothing."
            )
        return sentences
    sentences = [
        f"Not solved: {title}. {_counted(outcome.samples, 'edit')} tried"
        + (
            " "
            f"({', '.join(f'{count} {status}' for status, count in sorted(outcome.counts.items()))})"
            if outcome.counts
            else ""
        )
        + "."
    ]
    if best is None:
        return [*sentences, "No edit was usable and changed anything."]
    sentences += _turns(best.episode)
    left = best.remaining(task)
    if not best.verdict.tests:
        return [*sentences, f"The nearest attempt, which is no fix: {best.verdict.reason}"]
    return [
        *sentences,
        f"The nearest attempt, which is no fix, leaves {_counted(len(left), 'test')} failing: "
        f"{', '.join(left[:5])}" + (f" and {len(left) - 5} more." if len(left) > 5 else "."),
    ]


def _turns(episode: tuple[dict[str, str], ...]) -> list[str]:
    """What was tried before an edit, turn by turn."""
    told = [" ".join(message["content"].split()) for message in episode[1::2]]
    return [f"Turn {number}: {textwrap.shorten(text, 300)}" for number, text in enumerate(told, 1)]


def summary_lines(search: Search) -> list[str]:
    """What the whole search has come to."""
    if not search.failing:
        return [
            "What was named passes already: there is nothing to mend."
            if search.options.names
            else "No test fails: there is nothing to mend."
        ]
    sentences = [f"{test} was not tried: {why}." for test, why in search.left_out.items()]
    fixed = len(search.failing) - len(search.left)
    return [*sentences, f"{fixed} of {_counted(len(search.failing), 'failing test')} mended."]


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}" + ("" if count == 1 else "s")
