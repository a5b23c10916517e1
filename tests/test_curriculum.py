"""Stages of climb: which cycles and tasks each has, what is measured at their ends, and what keeps
a stage from undoing what the ones before it taught."""

import hashlib
import json
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes import curriculum
from recipes.learning.averaging import average
from recipes.learning.reinforce import Earlier
from recipes.others.instructions import MAKERS, instructions, judge_replies
from recipes.others.opened import INSTRUCTIONS
from recipes.reporting.stages import stage_lines
from recipes.settings import StageSettings, from_dict, load
from sandbox.errors import UsageError
from tests.conftest import CALC, make_repo, practice_in, run_cli
from tests.test_arc import last_line, lines, make_student, settings
from tests.test_crash import adapters, kill, start, wait_for_instant
from tests.tiny import load_tiny, make_tiny

KINDS = ("blank", "mutate", "revert")
TASKS = [
    SimpleNamespace(instance_id=f"{kind}-{split}", kind=kind, split=split)
    for kind in ("blank", "mutate")
    for split in ("train", "heldout")
]


def recipe_with(*stages: dict, **more):
    return from_dict({"tasks": {"kinds": list(KINDS)}, "stage": list(stages), **more})


# ---------------------------------------------------------------------------------- what is planned


def test_the_stages_follow_each_other_and_those_without_tasks_are_left_out():
    recipe = recipe_with(
        {"name": "reasoning", "kinds": ["blank"], "cycles": 3},
        {"name": "agentic", "kinds": ["revert"], "cycles": 5},  # nothing was mined
        {"name": "general", "turns": 3, "cycles": 2, "lr": 1e-5, "temperature": 0.5},
    )
    one, two = curriculum.plan(recipe, TASKS)
    assert (one.name, one.first, one.last) == ("reasoning", 1, 3)
    assert (two.name, two.first, two.last, two.earlier) == ("general", 4, 5, (one,))
    assert [curriculum.at((one, two), cycle).name for cycle in (1, 3, 4, 5, 9)] == [
        *("reasoning", "reasoning", "general", "general", "general")
    ]
    assert [t.kind for t in one.own(TASKS)] == ["blank", "blank"] and two.own(TASKS) == TASKS
    own = two.recipe_of(recipe)
    assert (own.student.turns, own.climb.lr, own.climb.temperature) == (3, 1e-5, 0.5)
    assert one.recipe_of(recipe) == recipe and recipe.roomy.student.turns == 3


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_every_cycle_is_of_one_stage(cycles):
    recipe = recipe_with(*({"name": f"s{i}", "cycles": n} for i, n in enumerate(cycles)))
    stages = curriculum.plan(recipe, TASKS)
    found = [curriculum.at(stages, n + 1) for n in range(sum(cycles))]
    assert [stage.settings.cycles for stage in stages] == cycles
    assert all(stage.first <= n + 1 <= stage.last for n, stage in enumerate(found))


def test_a_recipe_without_stages_is_one():
    recipe = load("nano")
    (only,) = curriculum.plan(recipe, [])
    assert (only.first, only.last, only.earlier) == (1, recipe.climb.cycles, ())
    assert only.recipe_of(recipe) == recipe


def test_the_kl_term_is_of_later_stages_alone():
    recipe = recipe_with(
        {"name": "a"}, {"name": "b"}, retention={"method": "kl", "kl": 0.2}, climb={"kl": 0.01}
    )
    one, two = curriculum.plan(recipe, TASKS)
    assert (one.recipe_of(recipe).climb.kl, two.recipe_of(recipe).climb.kl) == (0.01, 0.2)


@pytest.mark.parametrize(
    "stages, says",
    [
        ([{"name": "a"}, {"name": "a"}], "two stages are called 'a'"),
        ([{"name": "two words"}], "'stage.name' must be a word"),
        ([{}], "'stage.name' must be a word"),
        ([{"name": "a", "kinds": ["failing"]}], "wants failing tasks, which are not mined"),
        ([{"name": "a", "kinds": ["blink"]}], "'stage.kinds' must be"),
        ([{"name": "a", "others": ["books"]}], "'stage.others' must be practice or instructions"),
        ([{"name": "a", "cycels": 3}], "unknown key 'stage.cycels'"),
        ([3], "write \\[\\[stage\\]\\]"),
        ({"name": "a"}, "'stage' must be a list"),
    ],
)
def test_wrong_stages_are_refused(stages, says):
    with pytest.raises(UsageError, match=says):
        from_dict({"tasks": {"kinds": list(KINDS)}, "stage": stages})


def test_stages_survive_being_written_down():
    recipe = recipe_with({"name": "a", "kinds": ["blank"]}, {"name": "b", "earlier": 0.25})
    assert from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.stage[1] == StageSettings(name="b", earlier=0.25)


def test_how_many_groups_are_of_earlier_stages():
    assert [Earlier(range(9), share).groups(16) for share in (0.0, 0.25, 0.9)] == [0, 4, 9]


def test_what_is_measured_anew_when_a_run_goes_back():
    run = SimpleNamespace(content={})
    stage = {"before": 1, "climbed": 2, "after": 3, "retained": "x", "tried": {}}
    records = {"a": {"first": 1, "last": 4, **stage}, "b": {"first": 5, "last": 8, **stage}}
    kept = {4: {"a": 7, "b": 3}, 6: {"a": 7, "b": 3}, 3: {"a": 3}, 8: {"a": 7, "b": 7}}
    for cycle, sizes in kept.items():
        run.content = {curriculum.RECORD: json.loads(json.dumps(records))}
        curriculum.drop_stages(run, cycle)
        assert {n: len(r) for n, r in run.content[curriculum.RECORD].items()} == sizes, cycle


# --------------------------------------------------------------------------------- the instructions


def test_the_instructions_are_the_same_by_seed_and_none_is_on_both_sides():
    made, again, others = instructions(90, 0), instructions(90, 0), instructions(90, 1)
    assert [i.text for i in made] == [i.text for i in again] != [i.text for i in others]
    sides = {split: {i.text for i in made if i.split == split} for split in ("train", "heldout")}
    assert len(made) == 90 and not sides["train"] & sides["heldout"]
    assert 20 <= len(sides["heldout"]) <= 40 and len({i.instance_id for i in made}) == 90


RIGHT = {
    "capitals": lambda text: text.split()[3].upper(),
    "repeated": lambda text: ", ".join([text.split()[3]] * int(text.split()[4])),
    "alphabetical": lambda text: ", ".join(sorted(text.rstrip(".").split(": ")[1].split(", "))),
    "first": lambda text: text.split(": ")[1].split(",")[0],
    "longest": lambda text: max(text.split(": ")[1].partition("?")[0].split(", "), key=len),
    "sum": lambda text: str(int(text.split()[2]) + int(text.split()[4].rstrip("?"))),
    "reversed": lambda text: ", ".join(text.rstrip(".").split(": ")[1].split(", ")[::-1]),
    "object": lambda text: json.dumps(
        {text.split('"')[1]: text.split('"')[3], "count": int(text.split(" is ")[2].split(",")[0])}
    ),
    "ending": lambda text: f"I saw the {text.split()[5]} and a {text.rstrip('.').split()[-1]}.",
}


def test_a_right_reply_is_accepted_and_that_of_another_is_not():
    assert set(RIGHT) == {maker.__name__.strip("_") for maker in MAKERS}
    made = instructions(54, 3)
    replies = [RIGHT[i.instance_id.split("-")[1]](i.text) for i in made]
    verdicts = judge_replies(zip(made, replies), "blocks")
    assert [v.status for v in verdicts] == ["resolved"] * 54
    assert [v.instance_id for v in verdicts] == [i.instance_id for i in made]
    for instruction, reply in zip(made, replies):
        for wrong in ("", "I cannot do that.", instruction.text, reply + " and more", reply[::-1]):
            assert wrong == reply or not instruction.accepts(wrong), (instruction.text, wrong)
        for same in (f'"{reply}"', f"{reply}\n", f"```\n{reply}\n```"):
            kind = instruction.instance_id.split("-")[1]
            assert instruction.accepts(same) or kind in ("object", "ending"), (reply, same)


# ------------------------------------------------------------------------------------- what is said


def measured(reasoning, agentic=None, **more):
    found = {"heldout": {"reasoning": {"pass_at_1": reasoning}}, "mastered": {"pass_at_1": 1.0}}
    if agentic is not None:
        found["heldout"]["agentic"] = {"pass_at_1": agentic}
    return {**found, "other": None, "neutral": 3.5, "kl": 0.01, **more}


def test_a_stage_in_words():
    record = {
        **{"first": 5, "last": 8, "before": measured(0.5, 0.1), "climbed": measured(0.3, 0.4)},
        "tried": {"replay": measured(0.5, 0.4), "selfdistil": measured(0.5, 0.3)},
    }
    said = stage_lines("agentic", record)
    assert said[1] == "Stage agentic, cycles 5 to 8"
    assert said[2].split() == ["pass@1", "before", "climbed", "replay", "self-distillation"]
    assert said[3].split()[-4:] == ["0.500", "0.300", "0.500", "0.500"]
    assert not any(line.startswith("other") for line in said)
    assert "nothing +0.300 and -0.100" in said[-1] and "replay +0.300 and +0.000" in said[-1]
    assert "The better buy would have been replay (retention.method = 'replay'" in said[-1]
    record["tried"] = {"selfdistil": measured(0.5, 0.4)}
    assert not any("better buy" in line for line in stage_lines("agentic", record))


def test_the_mean_of_two_adapters(tmp_path):
    folder = make_tiny(tmp_path / "m")
    student = load_tiny(folder)
    chance = random.Random(0)
    for parameter in student.policy.trainable:
        parameter.data += chance.random()
    student.save(tmp_path / "old", {})
    old = {k: v.clone() for k, v in student.adapter.tensors().items()}
    for parameter in student.policy.trainable:
        parameter.data += 1.0
    (step,) = average(student, tmp_path / "old", 0.25)
    assert (step.step, step.steps) == (1, 1)
    for key, value in student.adapter.tensors().items():
        assert ((value - old[key]) - 0.75).abs().max() < 1e-6


# ------------------------------------------------------------------------------------ from end to end

STAGES = (
    'stage=[{name="reasoning",kinds=["blank"],cycles=2},'
    '{name="general",kinds=["mutate"],others=["practice","instructions"],cycles=2,earlier=0.5,turns=2}]'
)


@pytest.fixture(scope="module")
def bootstrapped(tmp_path_factory) -> Path:
    """A folder with a run in it that has two stages before it."""
    folder = tmp_path_factory.mktemp("stages")
    practice_in(folder)
    make_repo(folder / "other", CALC)
    small = settings(
        make_student(folder / "student"),
        **{"probe.k": 2, "tasks.heldout": 0.4, "forgetting.tasks": 2, "forgetting.text": 512},
        **{"forgetting.other": folder / "other", "climb.lr": 1e-3},
        **{"selfdistil.steps": 4, "selfdistil.batch": 4, "selfdistil.save_every": 2},
    )
    more = ["--set", STAGES, "--set", 'tasks.kinds=["blank", "mutate"]', "--set", "tasks.limit=24"]
    run_cli("bootstrap", "--repo", "practice", "--run", "run", *small, *more, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def climbed(bootstrapped) -> Path:
    """The same, climbed to its end without a pause, with every way tried."""
    shutil.copytree(bootstrapped / "run", bootstrapped / "whole")
    done = run_cli("climb", "--run", "whole", "--compare", "--json", cwd=bootstrapped)
    (bootstrapped / "climb.json").write_text(json.dumps(last_line(done)))
    return bootstrapped


@pytest.mark.slow
def test_what_a_staged_climb_tells_a_machine(climbed):
    told = json.loads((climbed / "climb.json").read_text())
    assert [(s["name"], s["cycles"]) for s in told["stages"]] == [("reasoning", 2), ("general", 2)]
    # In the second stage also some instructions, and two functions of the other repository.
    heldout = [
        t["kind"] for t in lines(climbed / "whole" / "tasks.jsonl") if t["split"] == "heldout"
    ]
    more = sum(i.split == "heldout" for i in instructions(INSTRUCTIONS, 0)) + 2
    sizes = [[s[when]["n"] for when in ("before", "after")] for s in told["stages"]]
    assert sizes == [[heldout.count("blank")] * 2, [heldout.count("mutate") + more] * 2]
    assert heldout.count("blank") > 1 and heldout.count("mutate") > 1
    forgetting = told["forgetting"]["general"]
    assert set(forgetting["tried"]) == {"selfdistil", "replay", "average"}
    for found in (forgetting["before"], forgetting["climbed"], *forgetting["tried"].values()):
        assert set(found["heldout"]) == {"reasoning", "general"} and found["other"]["n"] == 2
        assert found["mastered"]["n"] >= 1 and found["neutral"] > 1
    assert forgetting["before"]["kl"] == 0 < forgetting["climbed"]["kl"]
    assert forgetting["mean_drop"] is not None and forgetting["gain"] is not None
    assert told["forgetting"]["reasoning"]["tried"] == {}  # nothing is earlier
    status = last_line(run_cli("status", "--run", "whole", "--json", cwd=climbed))
    assert status["stages"] == told["stages"] and status["forgetting"] == told["forgetting"]
    assert run_cli("status", "--run", "whole", cwd=climbed).stdout.count("general ") == 1


@pytest.mark.slow
def test_what_each_stage_draws(climbed):
    rollouts = [r for r in lines(climbed / "whole" / "rollouts.jsonl") if r["phase"] == "climb"]
    names = {cycle: {r["instance_id"] for r in rollouts if r["cycle"] == cycle} for cycle in (1, 3)}
    train = {
        t["instance_id"] for t in lines(climbed / "whole" / "tasks.jsonl") if t["split"] == "train"
    }
    assert names[1] <= train
    others = {
        n for cycle in (3, 4) for r in rollouts if r["cycle"] == cycle for n in [r["instance_id"]]
    }
    assert others - train
    held = {
        "other-" + t["instance_id"]
        for t in lines(climbed / "whole" / "other" / "tasks.jsonl")
        if t["split"] == "heldout"
    }
    assert held and not others & held
    metrics = lines(climbed / "whole" / "metrics.jsonl")
    assert [m["stage"] for m in metrics] == ["reasoning"] * 2 + ["general"] * 2


@pytest.mark.slow
def test_the_teacher_of_a_stage_stays_as_it_was(climbed):
    run = climbed / "whole"
    names = json.loads((run / "run.json").read_text())["checkpoints"]
    best = hashlib.sha256(adapters(run)["best-reasoning"]).hexdigest()
    assert names["best-reasoning"] in ("cycle-0002", "distilled")
    assert names["best"] == names["last"] == names["best-general"] != names["best-reasoning"]
    used = {line["teacher"] for line in lines(run / "selfdistil.jsonl")}
    assert used == {names["best-reasoning"]}
    assert {line["method"] for line in lines(run / "selfdistil.jsonl")} == {
        *("selfdistil", "replay", "average")
    }
    assert best != hashlib.sha256(adapters(run)["last"]).hexdigest()


@pytest.mark.slow
def test_a_stage_by_name_and_the_next_one_bit_for_bit(climbed):
    shutil.copytree(climbed / "run", climbed / "parts")
    done = run_cli("climb", "--run", "parts", "--stage", "reasoning", cwd=climbed)
    assert "cycle 2:" in done.stdout and "cycle 3:" not in done.stdout
    told = last_line(run_cli("status", "--run", "parts", "--json", cwd=climbed))
    assert told["stages"][0]["after"] and len(told["stages"]) == 1
    run_cli("climb", "--run", "parts", "--compare", cwd=climbed)
    assert_same(climbed / "parts", climbed / "whole")
    for wrong, says in (
        (["--stage", "art"], "no stage 'art' with a task for training. Its stages: reasoning, gen"),
        (["--stage", "general", "--cycles", "9"], "both say where to stop"),
    ):
        done = run_cli("climb", "--run", "parts", *wrong, cwd=climbed, check=2)
        assert says in done.stderr


def assert_same(one: Path, other: Path) -> None:
    """Whether two runs have learned the same. One was probed in between."""
    for name in ("metrics.jsonl", "selfdistil.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    phases = [
        [r for r in lines(run / "rollouts.jsonl") if r["phase"] in ("climb", "climb-0004")]
        for run in (one, other)
    ]
    assert phases[0] == phases[1] and adapters(one) == adapters(other)


@pytest.mark.long
@pytest.mark.parametrize("method", ["selfdistil", "kl"])
def test_killed_within_its_stages_a_run_ends_in_the_same_bytes(bootstrapped, method):
    whole, killed = bootstrapped / f"whole-{method}", bootstrapped / f"killed-{method}"
    shutil.copytree(bootstrapped / "run", whole)
    content = json.loads((whole / "run.json").read_text())
    content["recipe"]["retention"]["method"] = method
    (whole / "run.json").write_text(json.dumps(content))
    shutil.copytree(whole, killed)
    run_cli("climb", "--run", whole.name, cwd=bootstrapped)
    draw, kills = random.Random(5), 0
    while kills < 14:
        process = start(["climb", "--run", killed.name], bootstrapped, killed)
        if not wait_for_instant(process, killed, draw):
            assert process.wait() == 0, (bootstrapped / "errors").read_text()
            break
        kill(process)
        kills += 1
    assert kills >= 5
    run_cli("climb", "--run", killed.name, cwd=bootstrapped)
    if method == "kl":
        (killed / "selfdistil.jsonl").touch(), (whole / "selfdistil.jsonl").touch()
    assert_same(killed, whole)
    records = [json.loads((run / "run.json").read_text())["stages"] for run in (whole, killed)]
    for record in (r for found in records for r in found.values()):
        for found in record.get("tried", {}).values():
            found.pop("seconds")
    assert records[0] == records[1]
