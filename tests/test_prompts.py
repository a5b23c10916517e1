"""Prompts and the reference's replies: what is shown, what never is, and that a right reply is
one."""

import ast
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import patches
from sandbox.judge import twins
from sandbox.judge.edits import from_reply
from sandbox.judge.gate import gate
from sandbox.source import (
    blanked,
    find,
    functions,
    head_of,
    parse,
    read_text,
    reindent,
    source_of,
    to_bytes,
)
from sandbox.tasks.gold import gold_reply
from sandbox.tasks.kinds import KINDS, kind_of
from sandbox.tasks.prompts import ASKING, Budget, build, extents_in_words, summary, unaskable
from sandbox.tasks.replies import without_thinking
from sandbox.tasks.styles import BARE, STYLES, is_bare_body
from sandbox.tasks.task import Task
from tests.asked import ROOM
from tests.shop import mined_shop
from tests.tiny import load_tiny, make_tiny


def prompt(task: Task, tree: Path, style: str = "blocks", budget: Budget = ROOM) -> str:
    (message,) = build(task, tree, style, budget).messages
    assert message["role"] == "user"
    return message["content"]


@pytest.fixture(scope="module")
def shop():
    """(tree, tasks) of every kind"""
    repository, mined = mined_shop()
    return repository.snapshot, mined.tasks


@pytest.fixture(scope="module", params=["calc", pytest.param("shop", marks=pytest.mark.slow)])
def place(request):
    """(tree, tasks), in a hurry of one kind"""
    if request.param == "shop":
        return request.getfixturevalue("shop")
    repository, _, mined = request.getfixturevalue("mined_calc")
    return repository.snapshot, mined.tasks


# ------------------------------------------------------------------------------ what is never shown


def lines_of(*texts: str) -> set[str]:
    """Lines that say something, whitespace counting as one space."""
    return {
        line
        for text in texts
        for line in (" ".join(line.split()) for line in text.split("\n"))
        if len(line) >= 8
    }


def source_of_tests(tests, tree: Path, given: dict[str, str]) -> list[str]:
    """`given`: of tests that were made for the task."""
    found = []
    for file, names in twins.test_functions(tests).items():
        text = given.get(file) or read_text(tree / file)
        found += [source_of(text, find(text, name)) for name in names]
    return found


def never_shown(task: Task, tree: Path) -> dict[str, set[str]]:
    """What a prompt of the task must not hold, as far as what may be shown does not hold it
    anyway."""
    broken = task.broken(tree)
    visible = lines_of(*broken.values(), *source_of_tests(task.shown, tree, task.test_files))
    shown = {test.partition("[")[0] for test in task.shown}
    hidden = source_of_tests(
        [test for test in task.tests if test.partition("[")[0] not in shown], tree, task.test_files
    )
    gold = [source_of(text, f) for text in task.gold(tree).values() for f in functions(text)]
    twins = [
        line[1:]
        for line in task.twin_patch.split("\n")
        if line.startswith("+") and not line.startswith("+++")
    ]
    return {
        "gold": lines_of(*gold) - visible,
        "hidden test": lines_of(*hidden) - visible,
        "twin": lines_of(*twins) - visible,
    }


def looked_for(tasks, tree: Path, style: str) -> dict[str, int]:
    """How many lines were looked for in the prompts of these tasks, of whatever length, of which
    none may be there."""
    counts = {"gold": 0, "hidden test": 0, "twin": 0}
    for task in tasks:
        built = [
            build(task, tree, style, Budget.estimated(tokens)) for tokens in (150, 300, 600, 10**6)
        ]
        shown = " ".join(" ".join(p.text for p in built if p).split())
        for what, lines in never_shown(task, tree).items():
            counts[what] += len(lines)
            assert not [line for line in lines if line in shown], f"{task.instance_id}: {what}"
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_no_prompt_holds_the_gold_edit_a_hidden_test_or_a_twin(shop, style):
    tree, tasks = shop
    assert all(count > 20 for count in looked_for(tasks, tree, style).values())
    # The shop has no examples in its documentation.
    assert {t.kind for t in tasks} == set(KINDS) - {"doctest"}


def test_no_prompt_of_another_repository_does(mined_calc):
    repository, _, found = mined_calc
    for style in STYLES:
        assert all(
            count > 2 for count in looked_for(found.tasks, repository.snapshot, style).values()
        )


def test_names_of_hidden_tests_are_not_shown(place):
    tree, tasks = place
    for task in tasks:
        shown = {test.partition("[")[0] for test in task.shown}
        for test in {t.partition("[")[0] for t in task.tests} - shown:
            name = test.rpartition("::")[2]
            assert f"{name}(" not in prompt(task, tree) and f"{name}`" not in prompt(task, tree)


# ------------------------------------------------------------------------------------ what is shown


@pytest.mark.slow
def test_the_parts_of_a_prompt(shop):
    tree, tasks = shop
    for task in tasks:
        said = prompt(task, tree)
        assert said.startswith(task.problem_statement) and ("SEARCH/REPLACE" in said) == bool(
            task.files
        )
        for file, _names in task.named.items():
            assert f"`{file}`:\n```python\n" in said and task.broken(tree)[file].strip() in said
        assert all(
            source.strip() in said for source in source_of_tests(task.shown, tree, task.test_files)
        )
        assert ("You may change" in said) == bool(task.files)
        if not task.files:
            assert f"whole function `{task.function}`" in said


@pytest.mark.slow
def test_the_body_style_shows_signature_and_docstring_alone(shop):
    tree, tasks = shop
    total = next(t for t in tasks if t.instance_id == "blank-shop.cart.Cart.total")
    assert (
        prompt(total, tree, "body")
        == 'def total(self, percent=0):\n    """Return what all things cost, less percent per '
        'cent."""\n'
    )
    # Whole files cannot be asked for so.
    several = next(t for t in tasks if t.files)
    assert prompt(several, tree, "body") == prompt(several, tree, "blocks")


@pytest.mark.slow
def test_the_rewrite_style_shows_the_body_where_there_is_one(shop):
    """A mistake is looked for in the body that has it; a body that is missing is not shown."""
    tree, tasks = shop
    alone = [t for t in tasks if not t.files]
    for task in alone:
        broken = task.broken(tree)[task.file]
        whole = source_of(broken, find(broken, task.function))
        shown = prompt(task, tree, "rewrite")
        assert shown == (
            reindent(whole, "") + "\n"
            if kind_of(task.kind).shows_body
            else prompt(task, tree, "body")
        )
    assert {"blank", "mutate"} <= {t.kind for t in alone}
    several = next(t for t in tasks if t.files)
    assert prompt(several, tree, "rewrite") == prompt(several, tree, "blocks")


FILLING = "".join(f"def filling_{i}():\n    return {i}\n\n\n" for i in range(3000))


def long_task(tmp_path: Path, broken: dict[str, str], gold: dict[str, str], **more) -> Task:
    for path, text in gold.items():
        (tmp_path / path).write_text(text)
    (tmp_path / "test_a.py").write_text("def test():\n    pass\n")
    patch = "".join(patches.make(broken[path], gold[path], path) for path in sorted(gold))
    defaults = {
        "instance_id": "t",
        "kind": "revert",
        "split": "train",
        "repo": "r",
        "base_commit": "c",
        "file": min(gold),
        "function": "wanted",
        "patch": patch,
        "FAIL_TO_PASS": ("test_a.py::test",),
        "PASS_TO_PASS": (),
        "shown": ("test_a.py::test",),
        "problem_statement": "p",
        "test_seconds": 0.1,
    }
    return Task(**{**defaults, **more})


def test_of_a_long_file_the_surroundings_are_shown(tmp_path):
    gold = FILLING + "def wanted():\n    return 'yes'\n\n\n" + FILLING
    task = long_task(tmp_path, {"a.py": gold.replace("'yes'", "'no'")}, {"a.py": gold})
    built = build(task, tmp_path, "blocks", Budget.estimated(2000))
    said = built.messages[0]["content"]
    assert built.extent == "part" and 1500 < built.tokens <= 2000 and "`a.py` (in part" in said
    assert "def wanted():\n    return 'no'\n" in said and said.count("# ...\n") == 2
    assert "filling_2999" in said and "def filling_0()" in said and "filling_1500" not in said


def test_of_several_long_files_each_function_is_shown(tmp_path):
    gold = {
        name: FILLING
        + "def wanted():\n    return 'yes'\n\n\n"
        + FILLING
        + "def also():\n    return 'yes'\n"
        for name in ("a.py", "b.py")
    }
    broken = {name: text.replace("'yes'", "'no'") for name, text in gold.items()}
    task = long_task(
        tmp_path,
        broken,
        gold,
        files=("a.py", "b.py"),
        functions=("a.py::wanted", "a.py::also", "b.py::wanted", "b.py::gone"),
    )
    built = build(task, tmp_path, "blocks", Budget.estimated(4000))
    said = built.messages[0]["content"]
    assert (
        said.count("def wanted():\n    return 'no'") == 2
        and said.count("def also():\n    return 'no'") == 1
    )
    assert built.tokens <= 4000
    lost = long_task(tmp_path, broken, gold, files=("a.py", "b.py"), functions=("b.py::gone",))
    assert (
        "def filling_0():"
        in build(lost, tmp_path, "blocks", Budget.estimated(4000)).messages[0]["content"]
    )


RICH = '''"""A module."""
import re
from math import pi

LIMIT = 4
OTHER = 5


def helper(x):
    """Return a thing.

    At some length.
    """
    return x * LIMIT


class Base:
    """A base."""

    unit: str = "m"

    def __init__(self, size):
        self.size = size

    def wanted(self, other):
        """Compare by `helper` and `LIMIT`.

        {more}
        """
        raise NotImplementedError

    def near(self):
        """Be near."""
        return {filling}


def far():
    """Be far."""
    return {filling}
'''
RICH_TEST = (
    "CASES = [1, 2]\nHIDDEN = [3]\n\n\ndef made():\n    return CASES\n\n\ndef test_shown():\n    "
    "assert made() == CASES\n\n\n"
    "def test_also():\n    assert HIDDEN\n"
)


def rich_task(tmp_path: Path, more: str = "Long.") -> Task:
    broken = RICH.format(filling="1" + " + 1" * 400, more=more)
    task = long_task(
        tmp_path,
        {"rich.py": broken},
        {"rich.py": broken.replace("raise NotImplementedError", "return helper(other) < LIMIT")},
        kind="blank",
        function="Base.wanted",
        FAIL_TO_PASS=("test_r.py::test_shown", "test_r.py::test_also"),
        shown=("test_r.py::test_shown",),
        problem_statement="The body is missing.\n\nAnd more of it.",
    )
    (tmp_path / "test_r.py").write_text(RICH_TEST)
    return task


def sizes_and_prompts(task: Task, tree: Path, style: str = "blocks") -> list:
    return [
        (tokens, prompt)
        for tokens in range(20, 1200, 10)
        if (prompt := build(task, tree, style, Budget.estimated(tokens)))
    ]


def test_what_matters_most_comes_first(tmp_path):
    """By the budget at which each part appears for the first time."""
    task, appeared = rich_task(tmp_path), {}
    for tokens, prompt in sizes_and_prompts(task, tmp_path):
        said = prompt.messages[0]["content"]
        for part in (
            "raise NotImplementedError",
            "class Base:",
            'unit: str = "m"',
            "def helper(x):",
            "LIMIT = 4",
            "def test_shown",
            "CASES = [1, 2]",
            "And more of it.",
            "import re",
            "def near(self)",
            "def far()",
            "return x * LIMIT",
            "OTHER = 5",
        ):
            if part in said:
                appeared.setdefault(part, tokens)
    order = list(appeared)
    assert (
        order[:2] == ["raise NotImplementedError", "class Base:"]
        and "return x * LIMIT" in order[-4:]
    )
    for early, late in (
        ("class Base:", "def test_shown"),
        ('unit: str = "m"', "import re"),
        ("def helper(x):", "def far()"),
        ("def test_shown", "import re"),
        ("CASES = [1, 2]", "def far()"),
        ("import re", "return x * LIMIT"),
    ):
        assert appeared[early] <= appeared[late], (early, late)
    assert not any(
        "HIDDEN" in p.messages[0]["content"] or "test_also" in p.messages[0]["content"]
        for _, p in sizes_and_prompts(task, tmp_path)
    ), "what a hidden test names is shown"


def test_a_prompt_never_passes_its_budget_and_more_room_never_shows_less(tmp_path):
    order = ["least", "part", "whole"]
    for style in STYLES:
        found = sizes_and_prompts(rich_task(tmp_path), tmp_path, style)
        assert all(prompt.tokens <= tokens for tokens, prompt in found)
        assert [p.extent for _, p in found] == sorted(
            (p.extent for _, p in found), key=order.index
        ), style
        assert found[-1][1].extent in ("part", "whole")


def test_a_docstring_that_is_too_long_is_cut_before_the_task_is_left_out(tmp_path):
    task = rich_task(tmp_path, more="\n        ".join(["A long line of explanation."] * 60))
    for style in STYLES:
        (_, first), *_ = sizes_and_prompts(task, tmp_path, style)
        said = first.text
        assert (
            first.extent == "least"
            and '"""Compare by `helper` and `LIMIT`."""' in said
            and "A long line" not in said
        )
        assert ("raise NotImplementedError" in said) == (style not in BARE)
    assert build(task, tmp_path, "blocks", Budget.estimated(20)) is None


def test_the_compact_style_shows_function_and_tests_alone(tmp_path):
    said = build(rich_task(tmp_path), tmp_path, "compact", Budget.estimated(1000)).messages[0][
        "content"
    ]
    assert (
        "class Base:" in said
        and "def wanted" in said
        and "def test_shown" in said
        and "def far" not in said
        and "import re" not in said
    )
    assert (
        said.endswith(
            "\n\nAnswer with the whole function `Base.wanted` in one fenced python block."
        )
        and "SEARCH" not in said
    )
    assert said.count("\n\nAnswer with") == 1


def test_the_fence_is_one_that_its_content_does_not_close(tmp_path):
    broken = (
        'def wanted():\n    """As in\n\n    ```python\n    wanted()\n    ```\n    """\n    '
        'return 1\n'
    )
    task = long_task(tmp_path, {"a.py": broken}, {"a.py": broken.replace("1", "2")})
    assert "\n````python\n" in prompt(task, tmp_path) and prompt(task, tmp_path).count("````") == 2


def test_the_budget_is_that_of_the_student_s_own_tokenizer(tmp_path):
    model = load_tiny(make_tiny(tmp_path / "model"))
    task, seen = rich_task(tmp_path), set()
    for tokens in range(600, 3000, 300):
        if built := build(task, tmp_path, "blocks", Budget.of(model, tokens)):
            assert built.tokens == len(model.prompt_ids(built.messages)) <= tokens
            seen.add(built.extent)
    assert seen >= {"least", "part"}


def test_how_much_is_shown_is_said_and_counted(tmp_path):
    task = rich_task(tmp_path)
    built = [build(task, tmp_path, "blocks", Budget.estimated(tokens)) for tokens in (20, 200, 900)]
    assert summary(built, 900) == {
        "max_prompt": 900,
        "whole": 0,
        "part": 1,
        "least": 1,
        "left_out": 1,
        "median": built[2].tokens,
        "largest": built[2].tokens,
    }
    said = extents_in_words(built, 900)
    assert (
        "Prompts of 3 tasks, at most 900 tokens: 1 show a part of the file, 1 show less" in said
        and "1 do not fit" in said
    )


def test_many_files_are_not_all_named(tmp_path):
    gold = {f"m{i:02}.py": "def wanted():\n    return 'yes'\n" for i in range(30)}
    task = long_task(
        tmp_path,
        {name: text.replace("'yes'", "'no'") for name, text in gold.items()},
        gold,
        files=tuple(sorted(gold)),
        functions=("m00.py::wanted",),
    )
    said = prompt(task, tmp_path)
    assert "m05.py" in said and "m29.py" not in said and "other files" in said


# -------------------------------------------------------------------------- the reference's replies


@pytest.mark.parametrize("style", ["blocks", *BARE])
def test_the_reference_s_reply_gives_the_gold_edit(place, style):
    tree, tasks = place
    cannot = unaskable(tasks, lambda task: tree, style)
    for task in (t for t in tasks if t.instance_id not in cannot):
        reply = gold_reply(task, tree, style)
        if task.kind == "failing":
            assert reply == ""
            continue
        if (
            is_bare_body(style, task)
            and len(
                {
                    head_of(text[task.file], find(text[task.file], task.function))
                    for text in (task.broken(tree), task.gold(tree))
                }
            )
            > 1
        ):
            continue  # a body says nothing of a signature
        assert gate(from_reply(reply, task, task.broken(tree), style), task, tree) == task.gold(
            tree
        ), task.instance_id


REPEATED = (
    "def a():\n    x = 1\n    return x\n\n\ndef b():\n    x = 1\n    return x\n\n\ndef "
    "wanted():\n    x = 1\n    return x\n"
)


@pytest.mark.parametrize(
    "before, after",
    [
        (REPEATED, REPEATED[:-1] + " + 1\n"),  # the line stands there three times
        (REPEATED, "import os\n" + REPEATED),
        ("x = 1\n\n" + REPEATED, REPEATED),  # at the beginning
        (REPEATED, REPEATED + "\n\ndef c():\n    return 2\n"),
        (REPEATED + "y = 1\n", REPEATED),  # at the end
        (REPEATED.replace("\n", "\r\n"), REPEATED.replace("x = 1", "x = 2").replace("\n", "\r\n")),
        (REPEATED, REPEATED.replace("x = 1", "x = 2")),
        (REPEATED, REPEATED.replace("    x = 1\n", "")),
    ],
)
def test_blocks_that_say_any_change(tmp_path, before, after):
    (tmp_path / "a.py").write_bytes(after.encode())
    task = Task(
        instance_id="t",
        kind="revert",
        split="train",
        repo="r",
        base_commit="c",
        file="a.py",
        function="wanted",
        patch=patches.make(before, after, "a.py"),
        FAIL_TO_PASS=("t.py::t",),
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="p",
        test_seconds=0.1,
        files=("a.py",),
        functions=("a.py::wanted",),
    )
    assert from_reply(gold_reply(task, tmp_path, "blocks"), task, {"a.py": before}) == {
        "a.py": after
    }


def test_a_change_that_blocks_cannot_say(tmp_path):
    after = REPEATED + "y = 1"
    (tmp_path / "a.py").write_text(after)
    task = Task(
        instance_id="t",
        kind="revert",
        split="train",
        repo="r",
        base_commit="c",
        file="a.py",
        function="wanted",
        patch=patches.make(after + "2", after, "a.py"),
        FAIL_TO_PASS=("t.py::t",),
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="p",
        test_seconds=0.1,
        files=("a.py",),
        functions=("a.py::wanted",),
    )
    assert gold_reply(task, tmp_path, "blocks") == ""


@pytest.mark.parametrize(
    "shown, fence",
    [
        ("x", "```"),
        ("```", "````"),
        ("    ````python", "`````"),
        ("~~~", "```"),
        ("a ``` b", "```"),
    ],
)
def test_the_reference_s_fence_is_one_that_the_code_does_not_close(tmp_path, shown, fence):
    gold = f'def wanted():\n    """As in\n\n{shown}\n    """\n    return 2\n'
    task = long_task(tmp_path, {"a.py": gold.replace("return 2", "return 1")}, {"a.py": gold})
    reply = gold_reply(task, tmp_path, "blocks")
    assert f"\n{fence}python\ndef wanted" in reply and reply.endswith(f"\n{fence}\n")


# -------------------------------------------------------------------------- whatever the code holds

ODD = [
    "```",
    "```python",
    "````",
    "  ```py",
    "    ```",
    "~~~",
    "~~~~ text",
    "- ```",
    "<<<<<<< SEARCH",
    "=======",
    ">>>>>>> REPLACE",
    "    <<<<<<<< SEARCH ",
    "    ========",
    "<think>",
    "</think>",
    "    </think>  ",
    "so.</think>",
    "</think>```python",
    "[/THINK]",
    "a.py",
    "    ",
    "\t",
    "",
    "words.",
    "def wanted(): return 1",
    "class A:",
    "@x",
    "`",
    "    return 5",
    "\u00fc \u2192 \u4e2d",
    "#",
    "\x0c",
]
LINES = st.lists(st.sampled_from(ODD), max_size=6)
PARTS = st.sampled_from(
    [
        "    def wanted(y):\n        return y",
        "    if x:\n        x = '</think>'\n\n    else:\n        x = '<think>' # ```",
        "    x = 1  ",
        "    x = f'''{x}\n```\n'''",
        "    class Inner:\n        def m(self):\n            pass",
        "    # ```\n    x = 2",
    ]
)
HEADS = st.sampled_from(
    [
        "def wanted(x):",
        "async def wanted(x='<think>'):",
        "@deco\ndef wanted(x):",
        "@deco(\n    1,\n)\n@deco\ndef wanted(\n    x=1,\n    y='```',\n):",
    ]
)


@st.composite
def files(draw) -> tuple[str, str]:
    """(text of a file, name of a function in it)"""
    lines = [draw(HEADS)]
    if draw(st.booleans()):
        lines += ['    """Be wanted.', *draw(LINES), '    """']
    lines += [draw(st.sampled_from(["", "    # why"]))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 3))):
        lines += [draw(PARTS)] if draw(st.booleans()) else ["    x = '''", *draw(LINES), "'''"]
    function, name = "\n".join([*lines, "    return x"]), "wanted"
    if draw(st.booleans()):
        function, name = "class Box:\n    size = 1\n\n" + reindent(function, "    "), "Box.wanted"
    text = f'"""A module."""\n\n\ndef deco(*a):\n    return a\n\n\n{function}'
    text += draw(st.sampled_from(["", "\n", "\n\n\nx = 1\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text, name


MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
    ],
)


@MANY
@given(files(), st.sampled_from(STYLES))
def test_the_reference_s_reply_gives_the_gold_edit_whatever_the_code_holds(tmp_path, made, style):
    text, name = made
    (tmp_path / "a.py").write_bytes(to_bytes(text))
    task = Task(
        instance_id="t",
        kind="blank",
        split="train",
        repo="r",
        base_commit="c",
        file="a.py",
        function=name,
        patch=patches.make(blanked(text, find(text, name)), text, "a.py"),
        FAIL_TO_PASS=("t.py::t",),
        PASS_TO_PASS=(),
        shown=(),
        problem_statement="p",
        test_seconds=0.1,
    )
    reply = gold_reply(task, tmp_path, style)
    new = gate(from_reply(reply, task, task.broken(tmp_path), style), task, tmp_path)["a.py"]
    # A body says nothing of the empty line between docstring and first statement.
    assert new == text or style in BARE and ast.dump(parse(new)) == ast.dump(parse(text))
    assert style in BARE or without_thinking(reply) == ("", reply)


@MANY
@given(
    st.lists(st.sampled_from(ODD), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(ODD)), min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n"]),
)
def test_blocks_say_any_change_whatever_the_lines_are(tmp_path, lines, more, end, last):
    before = list(lines)
    for at, line in more:
        before.insert(at % len(before), line)
    for was, now in ((before, lines), (lines, before)):
        was, now = (end.join(part) + last.replace("\n", end) for part in (was, now))
        (tmp_path / "a.py").write_bytes(to_bytes(now))
        task = Task(
            instance_id="t",
            kind="revert",
            split="train",
            repo="r",
            base_commit="c",
            file="a.py",
            function="wanted",
            patch=patches.make(was, now, "a.py"),
            FAIL_TO_PASS=("t.py::t",),
            PASS_TO_PASS=(),
            shown=(),
            problem_statement="p",
            test_seconds=0.1,
            files=("a.py",),
            functions=("a.py::wanted",),
        )
        if reply := gold_reply(task, tmp_path, "blocks"):
            assert from_reply(reply, task, {"a.py": was}) == {"a.py": now}
            assert without_thinking(reply) == ("", reply)


def test_a_prompt_of_an_episode_tells_what_may_be_asked(mined_calc):
    repository, _, mined = mined_calc
    task, tree = mined.tasks[0], repository.snapshot
    for style in ("blocks", "compact"):
        plain = build(task, tree, style, ROOM)
        told = build(task, tree, style, ROOM, turns=2)
        last = told.messages[-1]["content"]
        assert last == f"{plain.messages[-1]['content']}\n\n{ASKING}"
        tight = Budget.estimated(plain.tokens)
        shorter = build(task, tree, style, tight, turns=2)
        assert shorter is None or shorter.tokens <= plain.tokens
    for style in BARE:
        assert build(task, tree, style, ROOM, turns=2) == build(task, tree, style, ROOM)
