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
of what to write. `body`: signature and docstring of the function, answered with its bare body;
`rewrite`: the same with the body as it stands, where there is one (`Kind.shows_body`). A task about
whole files (`Task.files`) cannot be put so, and has `blocks` for its style in any case. `fim`, for
a model that was trained to fill in the middle: the file before the body and behind it, from the
nearest lines to the farthest (`fim.py`); tasks that cannot be put so have no prompt (`unaskable`).
The reply formats are those of `sandbox/judge/edits.py`. No prompt holds the gold edit, a hidden
test or a twin.
"""

import re
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from sandbox.jsonl import valid
from sandbox.node_ids import function_of
from sandbox.source import find, head_of, reindent, source_of
from sandbox.tasks import fim
from sandbox.tasks.excerpts import Outline, Piece, View, split_lines, with_short_docstring
from sandbox.tasks.kinds import kind_of
from sandbox.tasks.statements import helpers_of_tests, sources_of_tests
from sandbox.tasks.styles import BARE, FIM, PREFIX, SUFFIX, is_bare_body
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
ASKING = """Before you answer you may look at the project: a reply of one line, `READ path`, `READ path:10-40` or `SEARCH text`, \
and nothing else."""
MAX_FILES_NAMED = 12
ROUNDS = 5
"""Times that a prompt is filled up and measured."""


class Tokenizer(Protocol):
    """What counts the tokens of a student."""

    def prompt_ids(self, messages: list[dict]) -> Sized: ...

    def token_counts(self, texts: Sequence[str]) -> list[int]: ...


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
    def of(cls, model: Tokenizer, tokens: int) -> "Budget":
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

    def tokens_of_lines(self, text: str) -> list[int]:
        """Tokens of each line of a file; counted once."""
        if text not in self._lines:
            self._lines[text] = self.texts([line + "\n" for line in split_lines(text)])
        return self._lines[text]


@dataclass(frozen=True)
class Prompt:
    """What a model is asked."""

    messages: list[dict[str, str]]
    """The conversation that it is to continue: [{"role", "content"}]; of the style `fim` what
    stands before the middle and behind it, under the roles PREFIX and SUFFIX."""
    tokens: int
    """By the budget's count."""
    extent: str
    """One of EXTENTS."""

    @property
    def text(self) -> str:
        """All of it, for a person."""
        between = fim.MIDDLE if self.messages[0]["role"] == PREFIX else "\n\n"
        return between.join(message["content"] for message in self.messages)


def build(task: Task, tree: Path, style: str, budget: Budget, turns: int = 1) -> Prompt | None:
    """The prompt of a task whose files are in `tree`; None where not even the least fits, and where
    the style cannot say the task at all (`unaskable`). Where an episode has several `turns` it says
    what may be asked (`asking.py`); a student that writes bare bodies does without."""
    if style == FIM:
        return None if task.files else _around_the_middle(task, tree, budget)
    if is_bare_body(style, task):
        shows_body = style == "rewrite" and kind_of(task.kind).shows_body
        return _bare_function(task, tree, budget, shows_body)
    style = "blocks" if style in BARE else style
    if turns > 1:
        room = budget.tokens - sum(budget.texts([f"\n\n{ASKING}"]))
        silent = build(task, tree, style, replace(budget, tokens=room))
        if silent is None:
            return None
        messages = _with_asking(silent.messages)
        return Prompt(messages, budget.chat(messages), silent.extent)
    for short in (False, True):
        draft = _Draft(task, tree, style, budget, short)
        if draft.as_it_is().tokens <= budget.tokens:
            return _Filler(draft).filled()
    return None


def _with_asking(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """A prompt's messages that say, too, what may be asked."""
    *before, last = messages
    return [*before, {**last, "content": f"{last['content']}\n\n{ASKING}"}]


def unaskable(tasks: Sequence[Task], tree_of: Callable[[Task], Path], style: str) -> dict[str, str]:
    """{instance_id: why, in words before the names of such tasks} of those that cannot be put in
    this style, however much room there is."""
    if style != FIM:
        return {}
    reasons = {task.instance_id: fim.why_not(task, tree_of(task)) for task in tasks}
    return {name: why for name, why in reasons.items() if why}


def extents_in_words(prompts: Sequence[Prompt | None], budget: int) -> str:
    """How many prompts show how much: a sentence."""
    counts = summary(prompts, budget)
    shown = [
        f"{counts[extent]} show {words}" for extent, words in EXTENTS.items() if counts[extent]
    ]
    lost = [f"{counts['left_out']} do not fit and are left out"] if counts["left_out"] else []
    sizes = (
        f" The median has {counts['median']}, the longest {counts['largest']}."
        if counts["median"]
        else ""
    )
    return (
        f"Prompts of {len(prompts)} tasks, at most {budget} tokens: "
        f"{', '.join(shown + lost)}.{sizes}"
    )


def summary(prompts: Sequence[Prompt | None], budget: int, unaskable: int = 0) -> dict:
    """{"max_prompt", each extent: prompts, "left_out": those for which not even the least fits,
    "median", "largest": tokens}, and where there are any "unaskable": tasks beside these that the
    style cannot say"""
    extents = [prompt.extent if prompt else "left_out" for prompt in prompts]
    sizes = sorted(prompt.tokens for prompt in prompts if prompt)
    return {
        "max_prompt": budget,
        **{extent: extents.count(extent) for extent in (*EXTENTS, "left_out")},
        "median": sizes[len(sizes) // 2] if sizes else None,
        "largest": sizes[-1] if sizes else None,
        **({"unaskable": unaskable} if unaskable else {}),
    }


def _bare_function(task: Task, tree: Path, budget: Budget, shows_body: bool) -> Prompt | None:
    """Signature, docstring and, if it is to be shown, body; of a docstring that is too long its
    first line."""
    text = task.broken(tree)[task.file]
    function = find(text, task.function)
    assert function is not None  # the task was made of it
    sources = [((source_of if shows_body else head_of)(text, function), "whole")]
    if short := _short_head(text, task.function):
        head, body = short
        sources.append(("\n".join(head + body if shows_body else head), "least"))
    for source, extent in sources:
        messages = [{"role": "user", "content": valid(reindent(source, "") + "\n")}]
        if (tokens := budget.chat(messages)) <= budget.tokens:
            return Prompt(messages, tokens, extent)
    return None


def _short_head(text: str, function: str) -> tuple[list[str], list[str]] | None:
    """(lines of signature and docstring, of the docstring the first line alone; lines of the body);
    None where that is no shorter."""
    targets = Outline(text, [function]).targets
    return with_short_docstring(text, targets[0]) if targets else None


def _around_the_middle(task: Task, tree: Path, budget: Budget) -> Prompt | None:
    """The file before the body and behind it: all of it, or as many of the nearest lines as fit; of
    a docstring that is too long the first line."""
    text = task.broken(tree)[task.file]
    around = fim.Around.of(text, task.function)

    def prompt(prefix: str, suffix: str, extent: str) -> Prompt:
        contents = (prefix.removeprefix("\ufeff"), suffix)
        messages = [
            {"role": role, "content": valid(content.replace("\r", ""))}
            for role, content in zip((PREFIX, SUFFIX), contents)
        ]
        return Prompt(messages, budget.chat(messages), extent)

    costs = budget.tokens_of_lines(text)
    best = prompt(*around.window(0, costs), "part")
    if best.tokens > budget.tokens:
        short = _short_head(text, task.function)
        best = prompt("".join(f"{line}\n" for line in short[0]), "", "least") if short else best
        return best if best.tokens <= budget.tokens else None
    if sum(costs) <= 1.5 * budget.tokens:
        whole = prompt(around.prefix, around.suffix, "whole")
        if whole.tokens <= budget.tokens:
            return whole
    room = budget.tokens - best.tokens
    for _ in range(ROUNDS):
        more = prompt(*around.window(room, costs), "part")
        if more.tokens > budget.tokens:  # the guesses were too low
            room -= more.tokens - budget.tokens + 8
            continue
        if more.tokens <= best.tokens:
            break
        best, room = more, room + budget.tokens - more.tokens
    return best


class _Draft:
    """A prompt in the making: at first the least is shown."""

    def __init__(self, task: Task, tree: Path, style: str, budget: Budget, short: bool) -> None:
        """`short`: of the functions' docstrings only the first lines."""
        self.task, self.style, self.budget, self.short = task, style, budget, short
        self.broken = task.broken(tree)
        self.outlines = {
            path: Outline(self.broken[path], names) for path, names in task.named.items()
        }
        sources = sources_of_tests(task.shown, tree, task.test_files)
        self.tests = list(dict.fromkeys(reindent(source, "") for source in sources))
        shown = set(map(function_of, task.shown))
        hidden = [test for test in task.tests if function_of(test) not in shown]
        self.helpers = helpers_of_tests(task.shown, hidden, tree, task.test_files)
        self.statement, _, self.details = task.problem_statement.partition("\n\n")
        self.begin()

    def begin(self) -> None:
        """Only the least is shown."""
        self.views = {
            path: View(outline, self.budget.tokens_of_lines(self.broken[path]))
            for path, outline in self.outlines.items()
        }
        self.shown_tests: list[str] = []
        self.shown_helpers: list[str] = []
        self.says_all = False
        for path, view in self.views.items():
            for piece in view.outline.least():
                view.add(piece)
            if self.short:
                self._shorten(view, self.broken[path])

    @staticmethod
    def _shorten(view: View, text: str) -> None:
        for target in view.outline.targets:
            if parts := with_short_docstring(text, target):
                view.shown -= set(range(target.first, target.last))
                view.add(Piece(range(target.first, target.last), (*parts[0], *parts[1])))

    def show_all(self) -> None:
        for view in self.views.values():
            view.add_all()
        self.shown_tests, self.shown_helpers = list(self.tests), list(self.helpers)
        self.says_all = True

    def as_it_is(self) -> Prompt:
        messages = self._messages()
        return Prompt(messages, self.budget.chat(messages), self._extent())

    def _extent(self) -> str:
        says_all = self.says_all or not self.details
        if self.shown_tests != self.tests or not says_all or self.short:
            return "least"
        is_whole = all(view.is_whole for view in self.views.values())
        return "whole" if is_whole or self.style == "compact" else "part"

    def _messages(self) -> list[dict[str, str]]:
        problem = [self.statement, self.details if self.says_all else ""]
        parts = ["\n\n".join(filter(None, problem))]
        for path, view in self.views.items():
            marks = (
                "" if view.is_whole else " (in part: `# ...` and `...` stand for what is left out)"
            )
            if text := view.text():
                parts.append(f"`{path}`{marks}:\n{fenced(text)}")
        if self.shown_tests:
            parts.append(
                "Some of the tests that must pass:\n"
                + fenced("\n\n".join(self.shown_helpers + self.shown_tests))
            )
        parts.append(self._format())
        return [{"role": "user", "content": valid("\n\n".join(parts))}]

    def _format(self) -> str:
        """What is to be written."""
        files, function = self.task.files, self.task.function
        if not files:
            words = COMPACT_FORMAT if self.style == "compact" else FUNCTION_FORMAT
            return words.format(function=function)
        more = " and other files that the tests run" if len(files) > MAX_FILES_NAMED else ""
        named = ", ".join(files[:MAX_FILES_NAMED]) + more
        return FILES_FORMAT.format(file=self.task.file, files=named)


class _Filler:
    """Adds to a draft as much as fits."""

    def __init__(self, draft: _Draft) -> None:
        self.draft, self.budget = draft, draft.budget
        self.shows_files = draft.style == "blocks"

    def filled(self) -> Prompt:
        draft = self.draft
        if self.shows_files and not draft.short and (prompt := self._complete()):
            return prompt
        draft.begin()
        best = draft.as_it_is()
        room = self.budget.tokens - best.tokens
        for _ in range(ROUNDS):
            self._fill(room)
            prompt = draft.as_it_is()
            if prompt.tokens > self.budget.tokens:  # the guesses were too low
                room -= prompt.tokens - self.budget.tokens + 8
                draft.begin()
                continue
            grown, best = prompt.tokens > best.tokens, prompt
            room = self.budget.tokens - best.tokens  # they were too high: there is room for more
            if not grown or room < self.budget.tokens // 50:
                break
        return best

    def _complete(self) -> Prompt | None:
        """Everything, where it fits."""
        lines = (self.budget.tokens_of_lines(self.draft.broken[path]) for path in self.draft.views)
        if sum(map(sum, lines)) > 1.5 * self.budget.tokens:
            return None  # there is no need to look closer
        self.draft.show_all()
        prompt = self.draft.as_it_is()
        return prompt if prompt.tokens <= self.budget.tokens else None

    def _fill(self, room: int) -> None:
        """Piece after piece in the order of its worth; what does not fit is passed over."""
        draft, tests = self.draft, self.draft.tests
        if self.shows_files:
            room = self._add_pieces(Outline.short_pieces, room)
        for cut in [test for test in draft.shown_tests if test not in tests]:
            draft.shown_tests.remove(cut)  # of an earlier round: there may be room for the whole
            room += sum(self.budget.texts([cut]))
        # Twenty tests are not worth as much as the file's imports.
        kept = room // 2 if self.shows_files else 0
        room = self._add_tests(tests[:1], room)
        if tests and not draft.shown_tests and (cut := self._cut(tests[0], room)):
            draft.shown_tests.append(cut)
            room = 0
        room += self._add_tests(tests, room - kept) - (room - kept)
        details = [draft.details] if draft.says_all else []
        room = self._add_texts([draft.details], details, room)
        draft.says_all = bool(details)
        if self.shows_files:
            room = self._add_pieces(Outline.imports, room)
            room = self._add_pieces(Outline.neighbours, room)
            room = self._add_tests(tests, room)
            self._add_pieces(Outline.more, room)

    def _add_pieces(self, pieces_of: Callable[[Outline], list[Piece]], room: int) -> int:
        """Those of the files' pieces that fit. Returns the room that is left, as the others do."""
        for view in self.draft.views.values():
            for piece in pieces_of(view.outline):
                if (cost := view.cost(piece)) <= room:
                    view.add(piece)
                    room -= cost
        return room

    def _add_tests(self, tests: list[str], room: int) -> int:
        """Those of the tests that fit; and once all are there, what they name."""
        draft = self.draft
        room = self._add_texts(tests, draft.shown_tests, room)
        if draft.shown_tests == draft.tests:
            room = self._add_texts(draft.helpers, draft.shown_helpers, room)
        return room

    def _add_texts(self, texts: list[str], shown: list[str], room: int) -> int:
        """Add those of the texts that fit to what is shown of them, in their order."""
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


def fenced(text: str) -> str:
    """The text as a python block, in a fence that nothing in it closes."""
    longest = max(
        (len(run) for run in re.findall(r"^[ \t]*(`{3,})", text, re.MULTILINE)), default=2
    )
    fence = "`" * (longest + 1)
    return f"{fence}python\n{text}\n{fence}"
