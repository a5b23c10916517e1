"""The phases of a run: their order, the names that files have for them, what a person is told in
each; and that a new one is an entry of the list and the code that does it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes import bootstrap, phases
from recipes.phases import Phase
from recipes.reporting.report import page
from recipes.reporting.status import run_facts, status_lines
from recipes.session import Session
from tests.written_run import write_run

BOOTSTRAP = ["mine", "before", "teach", "distil", "after"]
"""As runs that exist have them written down."""
CYCLES = st.integers(0, 10**7)


def names(found: list[Phase]) -> list[str]:
    return [phase.name for phase in found]


# ------------------------------------------------------------------------------- order and names


def test_a_continued_run_skips_what_is_done_and_nothing_else():
    assert names(phases.left([])) == BOOTSTRAP
    for number in range(len(BOOTSTRAP)):
        done = BOOTSTRAP[:number]
        assert names(phases.left(done)) == BOOTSTRAP[number:]
        assert phases.following(done, 0, 50).name == BOOTSTRAP[number]
    assert phases.left([*BOOTSTRAP, "climb-0004"]) == []


@pytest.mark.parametrize(
    "done, cycles, ends",
    [
        ([], 0, False),
        ([], 6, False),  # climbed, and cut off before the probe
        (["climb-0002"], 2, False),
        (["climb-0006"], 6, True),
        (["climb-0002"], 9, True),
    ],
)
def test_a_bootstrapped_run_climbs_until_it_was_probed_where_its_plan_ends(done, cycles, ends):
    following = phases.following([*BOOTSTRAP, *done], cycles, 6)
    assert following == (None if ends else phases.CLIMB)


def test_a_self_distillation_that_was_begun_comes_before_more_cycles():
    for cycles, done in ((2, []), (6, ["climb-0006"])):
        assert phases.following([*BOOTSTRAP, *done], cycles, 6, begun=True) is phases.SELFDISTIL
    assert phases.following(["mine"], 0, 6, begun=True) is phases.BEFORE


def test_names_are_those_that_runs_have_written_down():
    assert phases.probe_after(4) == "climb-0004" and phases.probe_after(12345) == "climb-12345"
    assert phases.checkpoint_after(0) == "distilled" and phases.checkpoint_after(4) == "cycle-0004"
    assert names(phases.bootstrap_probes()) == ["before", "after"]
    assert phases.bootstrapped() == "after" and phases.STUDENT == "student"
    probes = ["before", "after", "climb-0002", "climb-0010"]
    assert [phases.place(name) for name in probes] == [-1, 0, 2, 10]
    assert (
        phases.stepped_checkpoint("selfdistil", 50) == "selfdistil-0050"
        and phases.PHASES[-1].name == "climb"
    )
    assert phases.steps_of("selfdistil-0050") == 50 and phases.steps_of("last") is None
    assert [phases.tick(name) for name in probes] == ["before", "taught", "now", "now"]


@given(CYCLES)
def test_the_name_of_a_probe_is_taken_apart_again(cycle):
    name = phases.probe_after(cycle)
    assert phases.cycle_of(name) == phases.place(name) == cycle and phases.is_probe(name)


@given(CYCLES, CYCLES)
def test_no_two_cycles_share_a_name(one, other):
    for name in (phases.probe_after, phases.checkpoint_after):
        assert (name(one) == name(other)) == (one == other)


@given(
    st.text()
    | st.builds("climb-{}".format, st.text())
    | st.builds("{}{}".format, st.sampled_from([*BOOTSTRAP, "climb"]), st.text(max_size=2))
)
def test_what_is_no_probe_has_no_place(name):
    cycle = name.removeprefix("climb-")
    is_after_climb = name.startswith("climb-") and cycle.isascii() and cycle.isdigit()
    assert phases.is_probe(name) == (is_after_climb or name in ("before", "after"))
    if not phases.is_probe(name):
        assert phases.cycle_of(name) is None
        with pytest.raises(ValueError):
            phases.place(name)


# --------------------------------------------------------------------------- what a person is told


def probes_on(html: str, chart: str) -> list[str]:
    """What the axis across names beside cycles."""
    svg = next(
        svg
        for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
        if f'id="{chart}-title"' in svg
    )
    return re.findall(r">(before|taught|heard|now)</text>", svg)


@pytest.fixture(scope="module")
def written(calc, tmp_path_factory):
    """A run that is bootstrapped and not climbed; what is said of it depends on `done`."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", calc, cycles=0)


@pytest.fixture
def at(written):
    """(a list of phases) -> the run in which these are done"""
    done = list(written.content["done"])

    def run(reached: list[str]):
        written.content["done"] = list(reached)
        return written

    yield run
    written.content["done"] = done


@pytest.mark.parametrize(
    "done, words, command, probed",
    [
        (0, "bootstrap: tasks are being mined", "bootstrap", None),
        (1, "bootstrap: the student is being probed", "bootstrap", 16),
        (2, "bootstrap: the teacher is being asked", "bootstrap", None),
        (3, "bootstrap: the student is being fine-tuned", "bootstrap", None),
        (4, "bootstrap: the student is being probed again", "bootstrap", 16),
        (5, "bootstrapped, 0 of 6 cycles climbed", "climb", None),
    ],
)
def test_status_in_each_stage(at, done, words, command, probed):
    run = at(BOOTSTRAP[:done])
    found = run_facts(run)
    assert found["phase"] == words
    assert found["next"] == f"Go on with\n  python coldstart.py {command} --run {run.folder}"
    step = {"name": "tasks probed", "done": probed, "total": 16}
    assert found["step"] == (step if probed else None)
    assert list(found["probes"]) == [n for n in BOOTSTRAP[:done] if n in ("before", "after")]
    assert words in status_lines(found, 200)[1]


@pytest.mark.parametrize("done", [2, 3, 4, 5])
def test_the_report_in_each_stage(at, done):
    run = at(BOOTSTRAP[:done])
    html = page(run, {})
    words = run_facts(run)["phase"]
    assert f"{words[0].upper()}{words[1:]}.</p>" in html
    assert ("<td>after</td>" in html) == (done == 5)
    for arc in ("arc-hard", "arc-soft"):
        assert probes_on(html, arc) == ["before", "taught"]
    assert probes_on(html, "thaw") == (["before", "taught"] if done == 5 else ["before"])


def test_status_and_report_of_a_run_that_climbed(calc, tmp_path):
    run = write_run(tmp_path / "run", calc)
    found, html = run_facts(run), page(run, {})
    assert list(found["probes"]) == ["before", "after", "climb-0006"]
    assert found["phase"] == "bootstrapped, 6 of 6 cycles climbed" and "fix --run" in found["next"]
    assert found["best"]["checkpoint"] == "cycle-0006"
    assert "<td>climb-0006</td>" in html and probes_on(html, "thaw") == ["before", "now"]


# ------------------------------------------------------------------------------------ a new phase


@pytest.fixture
def two_more(monkeypatch):
    """A phase and a probe between fine-tuning and the last probe."""
    more = (
        Phase("rehearse", "bootstrap", "the student is rehearsing"),
        Phase("rehearsed", "bootstrap", "the student is heard", tick="heard"),
    )
    known = phases.PHASES
    last = known.index(phases.AFTER)
    monkeypatch.setattr(phases, "PHASES", (*known[:last], *more, *known[last:]))


def test_a_new_stage_is_an_entry_and_the_code_that_does_it(at, two_more, monkeypatch):
    taken = []

    def rehearse(session: Session) -> None:
        with session.run.step("rehearse"):
            taken.append("rehearse")

    def probe(session: Session, phase: str) -> None:
        with session.run.step(phase):
            taken.append(f"probe {phase}")

    rehearsal = next(phase for phase in phases.PHASES if phase.name == "rehearse")
    monkeypatch.setitem(bootstrap.STEPS, rehearsal, rehearse)
    monkeypatch.setattr(bootstrap, "probe", probe)
    run = at(["mine", "before", "teach", "distil"])
    assert run_facts(run)["phase"] == "bootstrap: the student is rehearsing"
    session = Session(run, None, None)
    for phase in phases.left(run.content["done"]):
        bootstrap.take(session, phase)
    assert taken == ["rehearse", "probe rehearsed", "probe after"]
    assert phases.left(run.content["done"]) == []


def test_a_new_probe_is_shown_everywhere(at, two_more):
    run = at(["mine", "before", "teach", "distil", "rehearse", "rehearsed", "after"])
    old = run.read("probe.jsonl"), run.read("rollouts.jsonl")
    for name, records in zip(("probe.jsonl", "rollouts.jsonl"), old):
        run.append(name, [{**r, "phase": "rehearsed"} for r in records if r["phase"] == "after"])
    found, html = run_facts(run), page(run, {})
    for name, records in zip(("probe.jsonl", "rollouts.jsonl"), old):
        run.keep_only(name, records)
    assert list(found["probes"]) == ["before", "rehearsed", "after"]
    assert "<td>rehearsed</td>" in html
    assert probes_on(html, "arc-hard") == ["before", "heard", "taught"]
    assert probes_on(html, "thaw") == ["before", "taught"]  # of its columns the ends are named
    places = [phases.place(name) for name in ("before", "rehearsed", "after", "climb-0001")]
    assert places == [-2, -1, 0, 1]
