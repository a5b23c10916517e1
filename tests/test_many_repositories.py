"""One student that learns from several repositories at once, and a student that is measured on a
repository that it never saw."""

import json

import pytest

from recipes.runfolder.places import places
from sandbox.reasons import listed
from sandbox.repo import open_repository
from tests.conftest import CALC, make_repo, run_cli
from tests.test_arc import last_line, lines, make_student, settings

# Names that both have, for other functions.
WORDS = {
    "calc/__init__.py": "",
    "calc/core.py": '''"""Words."""


def add(a, b):
    """Return a, a blank and b."""
    return f"{a} {b}"


def shout(text):
    """Return the text, louder."""
    louder = text.upper()
    return louder + "!"


def first(words):
    """Return the first word, or none."""
    found = words.split()
    return found[0] if found else ""
''',
    "tests/test_core.py": """from calc.core import add, first, shout


def test_add():
    assert add("a", "b") == "a b"


def test_shout():
    assert shout("no") == "NO!"


def test_first():
    assert first("one two") == "one" and first("") == ""
""",
}
ADD = "calc__blank-calc.core.add", "words__blank-calc.core.add"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(a folder with two repositories, the settings of a small run)"""
    folder = tmp_path_factory.mktemp("place")
    make_repo(folder / "calc", CALC)
    make_repo(folder / "words", WORDS)
    options = settings(
        make_student(folder / "student"),
        **{"tasks.heldout": 0.4, "teacher.share": 1.0, "student.turns": 2},
    )
    return folder, options


@pytest.fixture(scope="module")
def both(place):
    """(the folder, what bootstrap printed of the run of both)"""
    folder, options = place
    repos = "--repo", "calc", "--repo", "words"
    return folder, run_cli("bootstrap", *repos, "--run", "both", "--json", *options, cwd=folder)


def test_repositories_of_one_name_have_different_ones(tmp_path):
    roots = [
        make_repo(tmp_path / part / "lib", {"a.py": f"x = {n}\n"}) for n, part in enumerate("ab")
    ]
    found = places(tmp_path / "run", [open_repository(root) for root in roots])
    assert [place.name for place in found] == ["lib", "lib-2"]
    assert len({place.folder for place in found}) == 2
    assert listed("abc") == "a, b and c" and listed("a") == "a" and listed("ab") == "a and b"


@pytest.mark.slow
def test_one_student_learns_from_both_and_each_is_told_apart(both):
    folder, done = both
    result = last_line(done)
    tasks = {t["instance_id"]: t for t in lines(folder / "both/tasks.jsonl")}
    assert set(ADD) <= set(tasks)
    assert {t["repo"] for t in tasks.values()} == {"calc", "words"}
    assert set(result["by_repo"]) == {"calc", "words"}
    for when in ("before", "after"):
        of_each = [result["by_repo"][name][when]["all"]["n"] for name in ("calc", "words")]
        assert sum(of_each) == result["probe"][when]["all"]["n"] == len(tasks) and all(of_each)
    # The reference answers of both are learned: each was judged by its own repository's tests.
    taught = {r["instance_id"] for r in lines(folder / "both/trajectories.jsonl")}
    assert {name.partition("__")[0] for name in taught} == {"calc", "words"}
    facts = last_line(run_cli("tasks", "--run", "both", "--json", cwd=folder))
    assert [(r["name"], r["tasks"]) for r in facts["repos"]] == [
        (name, sum(t["repo"] == name for t in tasks.values())) for name in ("calc", "words")
    ]


@pytest.mark.slow
def test_an_edit_is_judged_by_the_tests_of_its_own_repository(both):
    folder, _ = both
    (folder / "reply.txt").write_text("```python\ndef add(a, b):\n    return f'{a} {b}'\n```\n")
    (folder / "overlay/calc").mkdir(parents=True)
    for (name, repo), code in zip(((ADD[0], "calc"), (ADD[1], "words")), (1, 0)):
        text = (folder / repo / "calc/core.py").read_text()
        body = text[text.index("    return") : text.index("\n\n\n", text.index("    return"))]
        edited = text.replace(body, '    return f"{a} {b}"', 1)
        (folder / "overlay/calc/core.py").write_text(edited)
        command = "judge", name, "--run", "both", "--overlay", "overlay", "--json"
        verdict = last_line(run_cli(*command, cwd=folder, check=code))
        assert verdict["status"] == ("failed" if code else "resolved")


@pytest.mark.slow
def test_what_else_works_on_such_a_run(both):
    folder, _ = both
    run_cli("status", "--run", "both", cwd=folder)
    run_cli("report", "--run", "both", cwd=folder)
    assert "calc and words" in (folder / "both/report.html").read_text()
    prompts = folder / "prompts"
    run_cli("tasks", "--run", "both", "--prompts", prompts, cwd=folder)
    assert "a blank and b" in (prompts / f"{ADD[1]}.txt").read_text()
    assert "a plus b" in (prompts / f"{ADD[0]}.txt").read_text()
    for target in ("dataset", "verifiers"):
        out = folder / target
        run_cli("export", "--to", target, "--run", "both", "--out", out, cwd=folder)
        text = "".join(p.read_text() for p in out.rglob("*.jsonl"))
        assert ADD[0] in text and ADD[1] in text
    said = run_cli("fix", "--run", "both", cwd=folder, check=2).stderr
    assert "Which repository?" in said and "words" in said
    run_cli("climb", "--run", "both", "--cycles", "1", cwd=folder, check=None)
    (folder / "words/calc/core.py").write_text(
        WORDS["calc/core.py"].replace('return f"{a} {b}"', 'return a + " " + b')
    )
    done = run_cli("tasks", "--from", "both", "--run", "later", "--json", cwd=folder)
    since = last_line(done)["since"]
    assert ADD[1] in since["new_tasks"] and ADD[0] not in since["new_tasks"]
    assert since["taken_over"] == len(lines(folder / "both/tasks.jsonl")) - since["mined"]


@pytest.mark.slow
def test_a_student_is_held_against_code_that_it_never_saw(both, place):
    folder, options = place
    run_cli("tasks", "--repo", "words", "--run", "other", *options, cwd=folder)
    command = "eval", "--run", "other", "--student", "both", "--json"
    result = last_line(run_cli(*command, cwd=folder))
    assert result["student_of"] == "both"
    assert result["probe"]["all"]["n"] == len(lines(folder / "other/tasks.jsonl"))
    best = json.loads((folder / "both/run.json").read_text())["checkpoints"]["best"]
    assert result["checkpoint"] == best


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repo", "calc", "--repo", "./calc"], "twice"),
        (["--repo", "calc", "--repo", "words", *["--python", "python3"] * 3], "3 times"),
        (["--repo", "calc", "--run", "both"], "is a run of"),
    ],
)
def test_what_cannot_be_is_a_sentence(both, arguments, said):
    folder, _ = both
    assert said in run_cli("tasks", *arguments, cwd=folder, check=2).stderr
