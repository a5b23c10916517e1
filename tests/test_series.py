"""Commits that belong together are undone at once: which belong together, to what, and the
tasks."""

from collections import Counter

import pytest

from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.tasks.history import MAX_RUN, undoings
from sandbox.tasks.mine import MiningOptions, mine
from tests.conftest import git, make_repo
from tests.test_history import commit, is_source, is_test

LIMITS = Limits(workers=1, recheck=0.0)
BIRDS = '''"""Birds."""


def call(name):
    """Return what it calls."""
    return name


def flock(names):
    """Return the names in order."""
    return list(names)
'''
TESTS = '''from birds import call, flock


def test_call():
    assert call("owl") in ("owl", "OWL!", "OWL!!")
'''
LOUD = BIRDS.replace("return name\n", "return name.upper()\n")
LOUDER = LOUD.replace("name.upper()", 'name.upper() + "!"')
SORTED = LOUDER.replace("list(names)", "sorted(names)")
UNIQUE = SORTED.replace("sorted(names)", "sorted(set(names))")
LOUD_TEST = TESTS + '\n\ndef test_loud():\n    assert call("owl").startswith("OWL")\n'
LOUDER_TEST = LOUD_TEST + '\n\ndef test_louder():\n    assert call("owl").endswith("!")\n'
SORTED_TEST = LOUDER_TEST + '\n\ndef test_flock():\n    assert flock("ba") == ["a", "b"]\n'
UNIQUE_TEST = SORTED_TEST + '\n\ndef test_unique():\n    assert flock("aa") == ["a"]\n'


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """(folder, {what: hash}): two commits on one line of code; then a merge of two others."""
    folder = make_repo(
        tmp_path_factory.mktemp("birds") / "birds", {"birds.py": BIRDS, "test_birds.py": TESTS}
    )
    made = {}
    commit(folder, "Words", {"README.md": "Birds.\n"})
    for name, source, tests in (("loud", LOUD, LOUD_TEST), ("louder", LOUDER, LOUDER_TEST)):
        made[name] = commit(folder, f"{name} calls", {"birds.py": source, "test_birds.py": tests})
    commit(folder, "More words", {"README.md": "Birds, and what they call.\n"})
    base = git(folder, "rev-parse", "--abbrev-ref", "HEAD").strip()
    git(folder, "checkout", "-qb", "flocks")
    made["sorted"] = commit(
        folder, "Flocks in order", {"birds.py": SORTED, "test_birds.py": SORTED_TEST}
    )
    made["unique"] = commit(
        folder, "Each bird once", {"birds.py": UNIQUE, "test_birds.py": UNIQUE_TEST}
    )
    git(folder, "checkout", "-q", base)
    git(folder, "merge", "-q", "--no-ff", "-m", "Merge flocks", "flocks")
    made["merge"] = git(folder, "rev-parse", "HEAD").strip()
    return folder, made


def undone(folder, in_series=True):
    reasons = Counter()
    found = undoings(
        open_repository(folder), is_source, is_test, None, reasons, lambda *_: None, in_series
    )
    return list(found), reasons


def test_what_belongs_together(birds):
    folder, made = birds
    alone, reasons = undone(folder, in_series=False)
    assert {u.commit for u in alone} == {made["louder"], made["unique"]}
    assert reasons == {"commit that does not apply any more": 2}
    found, reasons = undone(folder)
    by_commit = {u.commit: u for u in found}
    assert reasons == {} and set(by_commit) == {made["merge"], made["louder"], made["unique"]}
    merged, calls = by_commit[made["merge"]], by_commit[made["louder"]]
    of_file = by_commit[made["unique"]]
    assert of_file.broken == {"birds.py": LOUD} and of_file.count == MAX_RUN
    assert merged.broken == {"birds.py": LOUDER} and merged.count == 2
    assert merged.message.split() == "Flocks in order Each bird once".split()
    assert calls.broken == {"birds.py": UNIQUE.replace('name.upper() + "!"', "name")}


def test_commits_that_name_the_same_issue(tmp_path):
    other = '"""Nests."""\n\n\ndef eggs(n):\n    return n\n'
    folder = make_repo(tmp_path / "p", {"a.py": "A = 1\n", "b.py": other, "test_a.py": "T = 1\n"})
    commit(folder, "Start", {"c.py": "C = 1\n"})
    commit(folder, "Count (#12)", {"a.py": "A = 2\n", "test_a.py": "T = 2\n"})
    last = commit(folder, "Eggs, see #12", {"b.py": other.replace("return n", "return n + 1")})
    commit(folder, "Not #13", {"c.py": "C = 2\n", "test_a.py": "T = 3\n"})
    found, _ = undone(folder)
    assert [(u.commit, sorted(u.broken)) for u in found] == [(last, ["a.py", "b.py"])]


def test_commits_of_one_file_with_others_in_between(tmp_path):
    """Each of the three changes the line that the next one changes again."""
    folder = make_repo(
        tmp_path / "p", {"a.py": "A = 0\n", "b.py": "B = 0\n", "test_a.py": "T = 0\n"}
    )
    commit(folder, "Start", {"c.py": "C = 1\n"})
    for n in range(1, 4):
        last = commit(folder, f"A is {n}", {"a.py": f"A = {n}\n", "test_a.py": f"T = {n}\n"})
        commit(folder, f"B is {n}", {"b.py": f"B = {n}\n"})
    alone, _ = undone(folder, in_series=False)
    assert [u.broken for u in alone] == [{"a.py": "A = 2\n"}]
    found, _ = undone(folder)
    assert {"a.py": "A = 0\n"} in [u.broken for u in found if u.commit == last]


def test_a_long_run_is_cut(tmp_path):
    folder = make_repo(tmp_path / "p", {"a.py": "A = 0\n", "test_a.py": "T = 0\n"})
    for n in range(1, 2 * MAX_RUN + 1):
        commit(folder, f"Step {n}", {"a.py": f"A = {n}\n", "test_a.py": f"T = {n}\n"})
    found, reasons = undone(folder)
    assert [u.count for u in found] == [MAX_RUN]
    assert reasons == {"series of commits that does not apply any more": 1}


def test_a_commit_alone_is_no_series(tmp_path):
    folder = make_repo(tmp_path / "p", {"a.py": "A = 0\n", "b.py": "", "test_a.py": "T = 0\n"})
    commit(folder, "One", {"a.py": "A = 1\n", "test_a.py": "T = 1\n"})
    commit(folder, "Other", {"b.py": "B = 1\n", "test_a.py": "T = 2\n"})
    assert undone(folder) == ([], {})


@pytest.mark.slow
def test_tasks(birds, tmp_path):
    folder, made = birds
    repository = open_repository(folder)
    options = MiningOptions(kinds=("series",), heldout=0.0)
    found = mine(repository, LIMITS, tmp_path, options, lambda *_: None)
    names = {task.instance_id for task in found.tasks}
    assert names == {
        f"series-birds.{made['merge'][:10]}-2",
        f"series-birds.{made['louder'][:10]}-2",
        f"series-birds.{made['unique'][:10]}-3",
    }
    with Judge(repository, LIMITS, found.survey.suite()) as judge:
        for task in found.tasks:
            assert task.problem_statement.startswith("Several changes that belong together")
            gold = task.gold(repository.snapshot)
            assert judge.judge(task, gold).status == "resolved"
        task = next(task for task in found.tasks if made["merge"][:10] in task.instance_id)
        assert "> Each bird once" in task.problem_statement
        halfway = {"birds.py": SORTED}
        assert judge.judge(task, halfway).status in ("failed", "invalid")
