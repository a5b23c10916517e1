"""Task -> chat messages: what the student and the teacher are shown, and told to write.

    # or Budget.estimated(8192), where no tokenizer is at hand
    budget = Budget.of(student, recipe.student.max_prompt)
    prompt = build(task, tree, style, budget)                  # None where not even the least fits
    prompt.messages, prompt.tokens, prompt.extent

A prompt fits its budget: it is built from what matters most to what helps, as far as there is room.
First the problem and the function, with the heads of its classes; then their fields and what the
function names of its file; the tests that may be shown (where they are long, as many as fit in half
of the room) and what they name of their own file; the rest of the problem statement, where that is
long; imports; the signatures of its neighbours; the other tests; and then more of the file, the
nearest first. Where everything fits the file is shown as a whole.

`blocks`: all of that. `compact`, for a small student: the function and its tests, and one sentence
of what to write. `body`: signature and docstring of the function, answered with its bare body; a
task about whole files (`Task.files`) cannot be put so, and has `blocks` for its style in any case.
The reply formats are those of `sandbox/judge/edits.py`. No prompt holds the gold edit, a hidden test
or a twin.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.jsonl import valid
from sandbox.judge.search_replace import occurrences
from sandbox.node_ids import function_of
from sandbox.source import body_of, find, head_of, read_text, reindent, source_of
from sandbox.tasks.excerpts import Piece, View, split_lines, with_short_docstring
from sandbox.tasks.kinds import kind_of
from sandbox.tasks.replies import mark_sizes
from sandbox.tasks.statements import helpers_of_tests, sources_of_tests
from sandbox.tasks.task import Task

BYTES_PER_TOKEN = 3
"""Of source code, for estimates: tokenizers of today make a token of three to four bytes. What a
request costs at worst goes by one token a byte."""
EXTENTS = {
    "whole": "all",
    "part": "a part of the file",
    "least": "less than all tests and the whole problem",
}
"""How much a prompt shows: all that its style has; the function, the problem, the tests that may be
shown and some of the files; or less."""

FUNCTION_FORMAT = """Answer with a few words of reason and then one fenced python block that holds the whole function \
`{function}` (with its signature), and any new helper functions and imports it needs. Nothing else of the file."""
COMPACT_FORMAT = "Answer with the whole function `{function}` in one fenced python block."
FILES_FORMAT = """Answer with a few words of reason and then, for each place that must change, a SEARCH/REPLACE block under the \
file's path. The lines to search for must stand in the file exactly once:

{file}
<<<<<<< SEARCH
the lines as they are now
=======
the lines as they should be
>>>>>>> REPLACE

A function that is to be replaced as a whole may instead stand in a fenced python block (with its signature). \
You may change {files}, and no other file."""
MAX_FILES_NAMED = 12
MARK_SIZES = (7, 8, 9, 6, 5)
"""Of the marks of a SEARCH/REPLACE block; another one where the lines in it hold such marks."""
ROUNDS = 5
"""Times that a prompt is filled up and measured."""


@dataclass(frozen=True)
class Budget:
    """How long a prompt may be, and how its length is told."""

    tokens: int
    chat: Callable[[list[dict]], int]
    """Tokens of a conversation as the model gets it, chat template included."""
    texts: Callable[[Sequence[str]], list[int]]
    """Tokens of each text by itself. What fits is guessed by these, line by line, and then measured
    by `chat`."""
    _lines: dict[str, list[int]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, model, tokens: int) -> "Budget":
        """By the tokenizer of a student, or of whatever has its methods `prompt_ids` and
        `token_counts`."""
        return cls(tokens, lambda messages: len(model.prompt_ids(messages)), model.token_counts)

    @classmethod
    def estimated(cls, tokens: int) -> "Budget":
        """At BYTES_PER_TOKEN."""

        def count(text: str) -> int:
            return -(-len(valid(text).encode()) // BYTES_PER_TOKEN)

        return cls(
            tokens,
            lambda messages: sum(count(m["content"]) for m in messages),
            lambda texts: list(map(count, texts)),
        )

    def lines(self, text: str) -> list[int]:
        """Tokens of each line of a file; counted once."""
        if text not in self._lines:
            self._lines[text] = self.texts([line + "\n" for line in split_lines(text)])
        return self._lines[text]


@dataclass(frozen=True)
class Prompt:
    """What a model is asked."""

    messages: list[dict[str, str]]
    """The conversation that it is to continue: [{"role", "content"}]."""
    tokens: int
    """By the budget's count."""
    extent: str
    """One of EXTENTS."""


def build(task: Task, tree: Path, style: str, budget: Budget) -> Prompt | None:
    """The prompt of a task whose files are in `tree`; None where not even the least fits."""
    if style == "body" and not task.files:
        return _bare_head(task, tree, budget)
    style = "blocks" if style == "body" else style
    for short in (False, True):
        draft = _Draft(task, tree, style, budget, short)
        if draft.measure() <= budget.tokens:
            return draft.filled()
    return None


def extents_in_words(prompts: Sequence[Prompt | None], budget: int) -> str:
    """How many prompts show how much: a sentence."""
    found = summary(prompts, budget)
    shown = [f"{found[extent]} show {words}" for extent, words in EXTENTS.items() if found[extent]]
    lost = [f"{found['left_out']} do not fit and are left out"] if found["left_out"] else []
    sizes = (
        f" The median has {found['median']}, the longest {found['largest']}."
        if found["median"]
        else ""
    )
    return (
        f"Prompts of {len(prompts)} tasks, at most {budget} tokens: "
        f"{', '.join(shown + lost)}.{sizes}"
    )


def summary(prompts: Sequence[Prompt | None], budget: int) -> dict:
    """{"max_prompt", each extent: prompts, "left_out": those for which not even the least fits,
    "median", "largest": tokens}"""
    extents = [prompt.extent if prompt else "left_out" for prompt in prompts]
    sizes = sorted(prompt.tokens for prompt in prompts if prompt)
    return {
        "max_prompt": budget,
        **{extent: extents.count(extent) for extent in (*EXTENTS, "left_out")},
        "median": sizes[len(sizes) // 2] if sizes else None,
        "largest": sizes[-1] if sizes else None,
    }


def _bare_head(task: Task, tree: Path, budget: Budget) -> Prompt | None:
    """Signature and docstring; of a docstring that is too long its first line."""
    text = task.broken(tree)[task.file]
    view = View(text, [task.function], budget.lines(text))
    heads = [(head_of(text, find(text, task.function)), "whole")]
    if view.targets and (short := with_short_docstring(text, view.targets[0])):
        heads.append(("\n".join(short[0]), "least"))
    for head, extent in heads:
        messages = [{"role": "user", "content": valid(reindent(head, "") + "\n")}]
        if (tokens := budget.chat(messages)) <= budget.tokens:
            return Prompt(messages, tokens, extent)
    return None


class _Draft:
    """A prompt in the making: at first the least, then as much more as fits."""

    def __init__(self, task: Task, tree: Path, style: str, budget: Budget, short: bool) -> None:
        """`short`: of the functions' docstrings only the first lines."""
        self.task, self.style, self.budget = task, style, budget
        self._broken = task.broken(tree)
        self._short = short
        self._tests = list(
            dict.fromkeys(reindent(source, "") for source in sources_of_tests(task.shown, tree))
        )
        told = set(map(function_of, task.shown))
        hidden = [test for test in task.tests if function_of(test) not in told]
        self._helpers = helpers_of_tests(task.shown, hidden, tree)
        self._statement, _, self._details = task.problem_statement.partition("\n\n")
        self._begin()

    def _begin(self) -> None:
        """Only the least is shown."""
        self._views = {
            path: View(self._broken[path], names, self.budget.lines(self._broken[path]))
            for path, names in self.task.named.items()
        }
        self._shown_tests: list[str] = []
        self._shown_helpers: list[str] = []
        self._says_all = False
        for view in self._views.values():
            for piece in view.least():
                view.add(piece)
            if self._short:
                self._shorten(view)

    @staticmethod
    def _shorten(view: View) -> None:
        for target in view.targets:
            if parts := with_short_docstring(view.text_before, target):
                view.shown -= set(range(target.first, target.last))
                view.add(Piece(range(target.first, target.last), (*parts[0], *parts[1])))

    def measure(self) -> int:
        return self.budget.chat(self._messages())

    def filled(self) -> Prompt:
        """With as much as fits."""
        if self.style == "blocks" and not self._short and (prompt := self._complete()):
            return prompt
        self._begin()
        best = self._as_it_is()
        room = self.budget.tokens - best.tokens
        for _ in range(ROUNDS):
            self._fill(room)
            prompt = self._as_it_is()
            if prompt.tokens > self.budget.tokens:  # the guesses were too low
                room -= prompt.tokens - self.budget.tokens + 8
                self._begin()
                continue
            grown, best = prompt.tokens > best.tokens, prompt
            room = self.budget.tokens - best.tokens  # they were too high: there is room for more
            if not grown or room < self.budget.tokens // 50:
                break
        return best

    def _as_it_is(self) -> Prompt:
        messages = self._messages()
        return Prompt(messages, self.budget.chat(messages), self._extent())

    def _complete(self) -> Prompt | None:
        """Everything, where it fits."""
        if (
            sum(map(sum, (self.budget.lines(self._broken[path]) for path in self._views)))
            > 1.5 * self.budget.tokens
        ):
            return None  # there is no need to look closer
        for view in self._views.values():
            for piece in view.whole():
                view.add(piece)
        self._shown_tests, self._shown_helpers, self._says_all = (
            list(self._tests),
            list(self._helpers),
            True,
        )
        messages = self._messages()
        tokens = self.budget.chat(messages)
        return Prompt(messages, tokens, "whole") if tokens <= self.budget.tokens else None

    def _fill(self, room: int) -> None:
        """Piece after piece in the order of its worth; what does not fit is passed over."""
        views = list(self._views.values())

        def show(pieces_of: Callable[[View], list[Piece]]) -> None:
            nonlocal room
            for view in views:
                for piece in pieces_of(view):
                    if (cost := view.cost(piece)) <= room:
                        view.add(piece)
                        room -= cost

        if self.style == "blocks":
            show(View.short_pieces)
        cut = [test for test in self._shown_tests if test not in self._tests]
        for test in cut:  # of an earlier round: there may be room for the whole
            self._shown_tests.remove(test)
            room += sum(self.budget.texts([test]))
        kept = (
            room // 2 if self.style == "blocks" else 0
        )  # twenty tests are not worth as much as the file's imports
        room = self._add_tests(self._tests[:1], room)
        if self._tests and not self._shown_tests and (cut := self._cut(self._tests[0], room)):
            self._shown_tests.append(cut)
            room = 0
        room += self._add_tests(self._tests, room - kept) - (room - kept)
        says = [self._details] if self._says_all else []
        room = self._add_texts([self._details], says, room)
        self._says_all = bool(says)
        if self.style == "blocks":
            for stage in (View.imports, View.neighbours):
                show(stage)
            room = self._add_tests(self._tests, room)
            show(View.more)

    def _add_tests(self, tests: list[str], room: int) -> int:
        """Those of the tests that fit; and once all are there, what they name. Returns the room
        that is left."""
        room = self._add_texts(tests, self._shown_tests, room)
        if self._shown_tests == self._tests:
            room = self._add_texts(self._helpers, self._shown_helpers, room)
        return room

    def _add_texts(self, texts: list[str], shown: list[str], room: int) -> int:
        """Add those of the texts that fit to what is shown of them, in their order; returns the
        room that is left."""
        for text in texts:
            if text not in shown and (cost := sum(self.budget.texts([text])) + 2) <= room:
                shown.append(text)
                room -= cost
        shown.sort(key=lambda text: texts.index(text) if text in texts else -1)
        return room

    def _cut(self, test: str, room: int) -> str:
        """The first lines of a test, as many as fit; "" where that is nothing to go by."""
        lines, kept = test.split("\n"), []
        for line, cost in zip(lines, self.budget.texts([line + "\n" for line in lines])):
            if (room := room - cost) < 8:
                break
            kept.append(line)
        return "\n".join([*kept, "    # ..."]) if len(kept) > 1 else ""

    def _extent(self) -> str:
        complete = (
            self._shown_tests == self._tests
            and (self._says_all or not self._details)
            and not self._short
        )
        if not complete:
            return "least"
        return (
            "whole"
            if all(view.is_whole for view in self._views.values()) or self.style == "compact"
            else "part"
        )

    # ------------------------------------------------------------------------------------- the text

    def _messages(self) -> list[dict[str, str]]:
        parts = [
            "\n\n".join(filter(None, [self._statement, self._details if self._says_all else ""]))
        ]
        for path, view in self._views.items():
            marks = (
                "" if view.is_whole else " (in part: `# ...` and `...` stand for what is left out)"
            )
            if text := view.text():
                parts.append(f"`{path}`{marks}:\n{fenced(text)}")
        if self._shown_tests:
            parts.append(
                "Some of the tests that must pass:\n"
                + fenced("\n\n".join(self._shown_helpers + self._shown_tests))
            )
        parts.append(self._format())
        return [{"role": "user", "content": valid("\n\n".join(parts))}]

    def _format(self) -> str:
        task = self.task
        if task.files:
            more = (
                " and other files that the tests run" if len(task.files) > MAX_FILES_NAMED else ""
            )
            return FILES_FORMAT.format(
                file=task.file, files=", ".join(task.files[:MAX_FILES_NAMED]) + more
            )
        return (COMPACT_FORMAT if self.style == "compact" else FUNCTION_FORMAT).format(
            function=task.function
        )


def fenced(text: str) -> str:
    """The text as a python block, in a fence that nothing in it closes."""
    longest = max(
        (len(run) for run in re.findall(r"^[ \t]*(`{3,})", text, re.MULTILINE)), default=2
    )
    fence = "`" * (longest + 1)
    return f"{fence}python\n{text}\n{fence}"


def gold_reply(task: Task, tree: Path, style: str) -> str:
    """The repository's own code as a model would have answered: what the reference teacher says. ""
    where nobody knows the answer."""
    said = kind_of(task.kind).mended(task)
    if task.files:
        blocks = _search_replace(task.broken(tree), task.gold(tree))
        return f"{said}\n\n{blocks}" if blocks else ""
    intact = read_text(tree / task.file)
    function = find(intact, task.function)
    if style == "body":
        return body_of(intact, function)
    return f"{said}\n\n{fenced(reindent(source_of(intact, function), ''))}\n"


def _search_replace(broken: dict[str, str], gold: dict[str, str]) -> str:
    """The change from `broken` to `gold` as SEARCH/REPLACE blocks; "" where these cannot say it."""
    blocks = [block for path in sorted(gold) for block in _blocks(path, broken[path], gold[path])]
    return "" if None in blocks else "\n".join(blocks)


def _blocks(path: str, before: str, after: str) -> list[str | None]:
    """The file's blocks from the last to the first, each with as many lines around it as make it
    unmistakable; None where none do."""
    lines, new = before.replace("\r", "").split("\n"), after.replace("\r", "").split("\n")
    if lines[-1] != new[-1]:
        return [
            None
        ]  # a block is made of whole lines, and what is behind the last line end is none
    rest, _ = lines.pop(), new.pop()
    blocks: list[str | None] = []
    for tag, i1, i2, j1, j2 in reversed(difflib.SequenceMatcher(None, lines, new).get_opcodes()):
        if tag == "equal":
            continue
        text, first, last = "\n".join([*lines, rest]), i1, i2
        while not _stands_once(text, lines[first:last]) and (first > 0 or last < len(lines)):
            first, last = max(0, first - 1), min(len(lines), last + 1)
        search, replace = lines[first:last], lines[first:i1] + new[j1:j2] + lines[i2:last]
        size = next((n for n in MARK_SIZES if n not in mark_sizes(search + replace)), 0)
        marks = f"{'<' * size} SEARCH", "=" * size, f"{'>' * size} REPLACE"
        said = "\n".join([path, marks[0], *search, marks[1], *replace, marks[2], ""])
        blocks.append(said if size and _stands_once(text, search) else None)
        lines[i1:i2] = new[j1:j2]
    return blocks


def _stands_once(text: str, lines: list[str]) -> bool:
    block = "".join(line + "\n" for line in lines)
    return occurrences(text, block) == 1
