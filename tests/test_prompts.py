"""Prompts and the reference's replies: what is shown, what never is, and that a right reply is one."""
from pathlib import Path

import pytest

from recipes.prompts import MAX_FILE_CHARACTERS, gold_reply, messages
from sandbox import patches, twins
from sandbox.edits import from_reply, gate
from sandbox.source import find, functions, head_of, read_text, source_of
from sandbox.tasks import Task
from tests.shop import mined_shop


def prompt(task: Task, tree: Path, style: str = "blocks") -> str:
    (message,) = messages(task, tree, style)
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


# ------------------------------------------------------------------------------------------- what is never shown

def lines_of(*texts: str) -> set[str]:
    """Lines that say something, whitespace counting as one space."""
    return {line for text in texts for line in (" ".join(line.split()) for line in text.split("\n")) if len(line) >= 8}


def source_of_tests(tests, tree: Path) -> list[str]:
    found = []
    for file, names in twins.test_functions(tests).items():
        text = read_text(tree / file)
        found += [source_of(text, find(text, name)) for name in names]
    return found


def never_shown(task: Task, tree: Path) -> dict[str, set[str]]:
    """What a prompt of the task must not hold, as far as what may be shown does not hold it anyway."""
    broken = task.broken(tree)
    visible = lines_of(*broken.values(), *source_of_tests(task.shown, tree))
    shown = {test.partition("[")[0] for test in task.shown}
    hidden = source_of_tests([test for test in task.tests if test.partition("[")[0] not in shown], tree)
    gold = [source_of(text, f) for text in task.gold(tree).values() for f in functions(text)]
    twins = [line[1:] for line in task.twin_patch.split("\n") if line.startswith("+") and not line.startswith("+++")]
    return {"gold": lines_of(*gold) - visible, "hidden test": lines_of(*hidden) - visible, "twin": lines_of(*twins) - visible}


def looked_for(tasks, tree: Path, style: str) -> dict[str, int]:
    """How many lines were looked for in the prompts of these tasks, of which none may be there."""
    counts = {"gold": 0, "hidden test": 0, "twin": 0}
    for task in tasks:
        shown = " ".join(prompt(task, tree, style).split())
        for what, lines in never_shown(task, tree).items():
            counts[what] += len(lines)
            assert not [line for line in lines if line in shown], f"{task.instance_id}: {what}"
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("style", ["blocks", "body"])
def test_no_prompt_holds_the_gold_edit_a_hidden_test_or_a_twin(shop, style):
    tree, tasks = shop
    assert all(count > 20 for count in looked_for(tasks, tree, style).values())
    assert {t.kind for t in tasks} == {"blank", "mutate", "revert", "failing"}


def test_no_prompt_of_another_repository_does(mined_calc):
    repository, _, found = mined_calc
    for style in ("blocks", "body"):
        assert all(count > 2 for count in looked_for(found.tasks, repository.snapshot, style).values())


def test_names_of_hidden_tests_are_not_shown(place):
    tree, tasks = place
    for task in tasks:
        shown = {test.partition("[")[0] for test in task.shown}
        for test in {t.partition("[")[0] for t in task.tests} - shown:
            name = test.rpartition("::")[2]
            assert f"{name}(" not in prompt(task, tree) and f"{name}`" not in prompt(task, tree)


# ------------------------------------------------------------------------------------------- what is shown

@pytest.mark.slow
def test_the_parts_of_a_prompt(shop):
    tree, tasks = shop
    for task in tasks:
        said = prompt(task, tree)
        assert said.startswith(task.problem_statement) and "SEARCH/REPLACE" in said
        for file, names in task.named.items():
            assert f"`{file}`:\n```python\n" in said and task.broken(tree)[file].strip() in said
        assert all(source.strip() in said for source in source_of_tests(task.shown, tree))
        assert ("You may change" in said) == bool(task.files)
        if not task.files:
            assert f"whole function `{task.function}`" in said


@pytest.mark.slow
def test_the_body_style_shows_signature_and_docstring_alone(shop):
    tree, tasks = shop
    total = next(t for t in tasks if t.instance_id == "blank-shop.cart.Cart.total")
    assert prompt(total, tree, "body") == 'def total(self, percent=0):\n    """Return what all things cost, less percent per cent."""\n'
    # Whole files cannot be asked for so.
    several = next(t for t in tasks if t.files)
    assert prompt(several, tree, "body") == prompt(several, tree, "blocks")


FILLING = "".join(f"def filling_{i}():\n    return {i}\n\n\n" for i in range(3000))


def long_task(tmp_path: Path, broken: dict[str, str], gold: dict[str, str], **more) -> Task:
    for path, text in gold.items():
        (tmp_path / path).write_text(text)
    (tmp_path / "test_a.py").write_text("def test():\n    pass\n")
    patch = "".join(patches.make(broken[path], gold[path], path) for path in sorted(gold))
    return Task(instance_id="t", kind="revert", split="train", repo="r", base_commit="c", file=min(gold), function="wanted", patch=patch,
                FAIL_TO_PASS=("test_a.py::test",), PASS_TO_PASS=(), shown=("test_a.py::test",), problem_statement="p", test_seconds=0.1, **more)


def test_of_a_long_file_the_surroundings_are_shown(tmp_path):
    gold = FILLING + "def wanted():\n    return 'yes'\n\n\n" + FILLING
    task = long_task(tmp_path, {"a.py": gold.replace("'yes'", "'no'")}, {"a.py": gold})
    said = prompt(task, tmp_path)
    assert "def wanted():\n    return 'no'\n" in said and said.count("\n# ...\n") == 2 and len(said) < MAX_FILE_CHARACTERS + 2000
    assert "filling_2999" in said and "def filling_0()" in said and "filling_1500" not in said


def test_of_several_long_files_each_function_is_shown(tmp_path):
    gold = {name: FILLING + "def wanted():\n    return 'yes'\n\n\n" + FILLING + "def also():\n    return 'yes'\n" for name in ("a.py", "b.py")}
    broken = {name: text.replace("'yes'", "'no'") for name, text in gold.items()}
    task = long_task(tmp_path, broken, gold, files=("a.py", "b.py"), functions=("a.py::wanted", "a.py::also", "b.py::wanted", "b.py::gone"))
    said = prompt(task, tmp_path)
    assert said.count("def wanted():\n    return 'no'") == 2 and said.count("def also():\n    return 'no'") == 1
    assert len(said) < MAX_FILE_CHARACTERS + 3000
    lost = long_task(tmp_path, broken, gold, files=("a.py", "b.py"), functions=("b.py::gone",))
    assert "def filling_0():" in prompt(lost, tmp_path)


def test_many_files_are_not_all_named(tmp_path):
    gold = {f"m{i:02}.py": "def wanted():\n    return 'yes'\n" for i in range(30)}
    task = long_task(tmp_path, {name: text.replace("'yes'", "'no'") for name, text in gold.items()}, gold, files=tuple(sorted(gold)),
                     functions=("m00.py::wanted",))
    said = prompt(task, tmp_path)
    assert "m05.py" in said and "m29.py" not in said and "other files" in said


# ------------------------------------------------------------------------------------------- the reference's replies

@pytest.mark.parametrize("style", ["blocks", "body"])
def test_the_reference_s_reply_gives_the_gold_edit(place, style):
    tree, tasks = place
    for task in tasks:
        reply = gold_reply(task, tree, style)
        if task.kind == "failing":
            assert reply == ""
            continue
        if style == "body" and not task.files and len({head_of(text[task.file], find(text[task.file], task.function)) for text in (task.broken(tree), task.gold(tree))}) > 1:
            continue                               # a body says nothing of a signature
        assert gate(from_reply(reply, task, task.broken(tree), style), task, tree) == task.gold(tree), task.instance_id


REPEATED = "def a():\n    x = 1\n    return x\n\n\ndef b():\n    x = 1\n    return x\n\n\ndef wanted():\n    x = 1\n    return x\n"


@pytest.mark.parametrize("before, after", [
    (REPEATED, REPEATED[:-1] + " + 1\n"),                                                       # the line stands there three times
    (REPEATED, "import os\n" + REPEATED), ("x = 1\n\n" + REPEATED, REPEATED),                     # at the beginning
    (REPEATED, REPEATED + "\n\ndef c():\n    return 2\n"), (REPEATED + "y = 1\n", REPEATED),      # at the end
    (REPEATED.replace("\n", "\r\n"), REPEATED.replace("x = 1", "x = 2").replace("\n", "\r\n")),
    (REPEATED, REPEATED.replace("x = 1", "x = 2")), (REPEATED, REPEATED.replace("    x = 1\n", "")),
])
def test_blocks_that_say_any_change(tmp_path, before, after):
    (tmp_path / "a.py").write_bytes(after.encode())
    task = Task(instance_id="t", kind="revert", split="train", repo="r", base_commit="c", file="a.py", function="wanted", patch=patches.make(before, after, "a.py"),
                FAIL_TO_PASS=("t.py::t",), PASS_TO_PASS=(), shown=(), problem_statement="p", test_seconds=0.1, files=("a.py",), functions=("a.py::wanted",))
    assert from_reply(gold_reply(task, tmp_path, "blocks"), task, {"a.py": before}) == {"a.py": after}


def test_a_change_that_blocks_cannot_say(tmp_path):
    after = REPEATED + "y = 1"
    (tmp_path / "a.py").write_text(after)
    task = Task(instance_id="t", kind="revert", split="train", repo="r", base_commit="c", file="a.py", function="wanted", patch=patches.make(after + "2", after, "a.py"),
                FAIL_TO_PASS=("t.py::t",), PASS_TO_PASS=(), shown=(), problem_statement="p", test_seconds=0.1, files=("a.py",), functions=("a.py::wanted",))
    assert gold_reply(task, tmp_path, "blocks") == ""
