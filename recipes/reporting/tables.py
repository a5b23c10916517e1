"""What a run has come to: as data for machines (DESIGN.md, section 10), and as lines of text for
people. Nothing is printed here."""

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING

from recipes.learning.measure import TaskProbe, summarise
from recipes.phases import BEFORE, CLIMB, MINE
from recipes.reporting.alarm import alarm
from recipes.runfolder.opening import command_line, shown
from sandbox.tasks.task import RECORDED, SORTS

if TYPE_CHECKING:
    from recipes.runfolder.run import Run
    from sandbox.tasks.task import Task  # it takes a while to load, and --help is quick

RECORDED_WORDS = "are held to what the code did when it was mined, whether that is right or not"
MAIN_GROUPS = ("taught", "untaught", "heldout", "all", "were_warm")
APART = {
    group: tuple(name if group == "all" else f"{group}_{name}" for name in SORTS)
    for group in MAIN_GROUPS
}
"""{group: the groups of its tasks of each sort, in the order of SORTS}"""
GROUPS = (*MAIN_GROUPS, *(name for names in APART.values() for name in names))
SHOWN_GROUPS = GROUPS[len(MAIN_GROUPS) :]
"""What tables for people show: never two sorts added up."""
_WORDS = {
    "taught": "training, taught",
    "untaught": "training, tests only",
    "heldout": "held out",
    "all": "all",
    "were_warm": "training, warm before",
}
GROUP_WORDS = {
    **_WORDS,
    **{
        name: f"{_WORDS[group]}, {sort}"
        for group, names in APART.items()
        for name, sort in zip(names, SORTS)
    },
}
"""What a person is told that they are."""
SHORT_WORDS = {
    name: f"{group.replace('_', ' ').replace('heldout', 'held out')}, {sort}"
    for group, names in APART.items()
    for name, sort in zip(names, SORTS)
}
"""The same of SHOWN_GROUPS for a narrow table."""


def read_probes(run: "Run", phase: str) -> list[TaskProbe]:
    """What was measured in a phase, in the order of names, but for tasks that were set aside since:
    tables that are compared are about the same tasks."""
    aside = run.set_aside
    probes = [
        probe_of(r)
        for r in run.read("probe.jsonl")
        if r["phase"] == phase and r["instance_id"] not in aside
    ]
    return sorted(probes, key=lambda p: p.instance_id)


def probe_of(record: dict) -> TaskProbe:
    """What a line of a file says of a task."""
    return TaskProbe(**{f.name: record[f.name] for f in fields(TaskProbe) if f.name in record})


def probe_summary(run: "Run", phase: str) -> dict:
    """{group: summary} for the groups of `grouped`."""
    return _summaries(run, read_probes(run, phase))


def _summaries(run: "Run", probes: list[TaskProbe]) -> dict:
    groups, recipe = grouped(run, probes), run.recipe
    return {name: summarise(groups[name], recipe.probe.temperature, recipe.seed) for name in GROUPS}


def by_repo(run: "Run", *names: str) -> dict:
    """{"by_repo": {repository: {when: {group: summary}}}} of a run of several, for the probes
    `names`, which are "before" and "after"; {} of a run of one."""
    places = run.places
    if len(places) == 1:
        return {}
    repo = {task.instance_id: task.repo for task in run.tasks}
    probes = {when: read_probes(run, name) for when, name in zip(("before", "after"), names)}
    return {
        "by_repo": {
            place.name: {
                when: _summaries(run, [p for p in of_all if repo[p.instance_id] == place.name])
                for when, of_all in probes.items()
            }
            for place in places
        }
    }


def by_repo_lines(facts: dict) -> list[str]:
    """The same for a person: a line a repository and group that holds tasks."""
    lines = []
    for name, measured in facts.get("by_repo", {}).items():
        before, after = measured["before"], measured["after"]
        for group in (*APART["taught"], *APART["untaught"], *APART["heldout"]):
            if after[group]["n"]:
                lines.append(
                    f"{name}, {GROUP_WORDS[group]}: pass@1 {before[group]['pass_at_1']:.3f} "
                    "before, "
                    f"{after[group]['pass_at_1']:.3f} after ({after[group]['n']} tasks)"
                )
    return ["", *lines] if lines else []


def grouped(run: "Run", probes: list[TaskProbe]) -> dict[str, list[TaskProbe]]:
    """{group: probes} for GROUPS. `taught` are the tasks that a teacher's verified answer was
    learned for, in a run that this one takes up, too; what the student learned again of its own
    rollouts was not taught. `were_warm`: the training tasks that it solved now and then before
    anybody taught it, and should not come to lose. `hard`, `soft` and `recorded` are all tasks of
    that sort, `taught_hard` and so on those of a group."""
    was_taught = run.taught
    heldout = {t.instance_id for t in run.tasks if t.split == "heldout"}
    sort_of = {t.instance_id: t.sort for t in run.tasks}
    warm = {p.instance_id for p in read_probes(run, BEFORE.name) if p.state == "warm"} - heldout
    main = {
        "all": probes,
        "taught": [p for p in probes if p.instance_id in was_taught],
        "heldout": [p for p in probes if p.instance_id in heldout],
        "untaught": [
            p for p in probes if p.instance_id not in was_taught and p.instance_id not in heldout
        ],
        "were_warm": [p for p in probes if p.instance_id in warm],
    }
    apart = {
        name: [p for p in main[group] if sort_of.get(p.instance_id) == sort]
        for group, names in APART.items()
        for name, sort in zip(names, SORTS)
    }
    return {**main, **apart}


def mined_facts(run: "Run", prompts: dict | None = None) -> dict:
    """What `tasks` tells; `prompts` is {instance_id: Prompt or None} where they were built."""
    tasks = run.tasks
    counts = {
        kind: {
            split: sum(t.kind == kind and t.split == split for t in tasks)
            for split in ("train", "heldout")
        }
        for kind in sorted({t.kind for t in tasks})
    }
    sorts = {
        kind: {
            **{sort: sum(t.sort == sort for t in tasks if t.kind == kind) for sort in SORTS},
            "with_twins": sum(bool(t.twin_tests) for t in tasks if t.kind == kind),
        }
        for kind in counts
    }
    repository = run.repository
    return {
        "repo": repository.root,
        "commit": repository.commit,
        "python": repository.python,
        **_repositories(run, tasks),
        "counts": counts,
        "kinds": sorts,
        "excluded": run.content["excluded"],
        "left_out": run.content.get("left_out", {}),
        **({"since": run.content["since"]} if "since" in run.content else {}),
        "notes": [note for place in run.places for note in place.repository.notes],
        "seconds": run.content["seconds"].get(MINE.name, 0.0),
        "tasks": [
            {
                "instance_id": t.instance_id,
                "kind": t.kind,
                "split": t.split,
                "file": t.file,
                "function": t.function,
                "fail_to_pass": len(t.FAIL_TO_PASS),
                "pass_to_pass": len(t.PASS_TO_PASS),
                "twins": len(t.twin_tests),
                "hard": t.hard,
                "sort": t.sort,
                **({} if t.noticed is None else {"noticed": t.noticed}),
                **({} if t.hard else {"soft_because": t.soft_because}),
                **_prompt_facts(t.instance_id, prompts),
            }
            for t in tasks
        ],
    }


def _prompt_facts(name: str, prompts: dict | None) -> dict:
    """{"prompt_tokens", "prompt_extent"} of a task, both None where its prompt does not fit; {}
    where no prompts were built."""
    if prompts is None:
        return {}
    prompt = prompts[name]
    return {"prompt_tokens": prompt and prompt.tokens, "prompt_extent": prompt and prompt.extent}


def _repositories(run: "Run", tasks: "list[Task]") -> dict:
    """Each of them, where there are several."""
    places = run.places
    if len(places) == 1:
        return {}
    return {
        "repos": [
            {
                "name": place.name,
                "repo": place.repository.root,
                "commit": place.repository.commit,
                "python": place.repository.python,
                "tasks": sum(task.repo == place.name for task in tasks),
            }
            for place in places
        ]
    }


def task_lines(run: "Run") -> list[str]:
    """The tasks one by one, then a table of their kinds."""
    lines = [
        f"{task.split:8} {task.instance_id}  ({len(task.FAIL_TO_PASS)} tests to mend, "
        f"{len(task.PASS_TO_PASS)} to keep)"
        for task in run.tasks
    ]
    facts = mined_facts(run)
    lines += [
        "",
        f"{'kind':8} {'train':>7} {'held out':>9} {'hard':>6} {'soft':>6} {'recorded':>9} "
        f"{'with twins':>11}",
    ]
    for kind, count in facts["counts"].items():
        sorts = facts["kinds"][kind]
        lines.append(
            f"{kind:8} {count['train']:7} {count['heldout']:9} {sorts['hard']:6} {sorts['soft']:6} "
            f"{sorts[RECORDED]:9} {sorts['with_twins']:11}"
        )
    if any(task.sort == RECORDED for task in run.tasks):
        lines += ["", f"Recorded tasks {RECORDED_WORDS}."]
    soft = [task for task in run.tasks if task.sort == "soft"]
    why = Counter(task.soft_because.partition(":")[0] for task in soft if task.soft_because)
    if why:
        lines += ["", "Soft tasks are soft because"]
        lines += [f"{number:5}  {reason}" for reason, number in why.most_common()]
    return lines


def bootstrap_lines(run: "Run", before: dict, after: dict, columns: int | None) -> list[str]:
    """What bootstrap came to, from two summaries, behind the first sentence (`outcome.py`), in so
    many columns."""
    lines = ["", *table(before, after, columns), ""]
    lines += [sentence for sort in SORTS if (sentence := _thaw(run, before, after, sort))]
    if not any(
        after[group][state] for group in ("taught", "untaught") for state in ("warm", "mastered")
    ):
        lines.append(
            "No training task is solved even once: this is still a cold start, and RL cannot help. "
            "More from a teacher can."
        )
    else:
        lines += ["", "Next:", command_line(run, CLIMB.command)]
    return lines


def _thaw(run: "Run", before: dict, after: dict, sort: str) -> str:
    """What became of the training tasks of this sort; "" without any."""
    groups = [f"{group}_{sort}" for group in ("taught", "untaught")]
    old, new = ({key: sum(p[g][key] for g in groups) for key in _STATES} for p in (before, after))
    if not old["n"]:
        return ""
    cut_off = old["truncated"]
    limit = f"; {cut_off} of these cut off at {run.recipe.student.max_new} tokens"
    return (
        f"Training tasks, {sort}: {old['cold']} of {old['n']} were cold (never solved"
        f"{limit if cut_off else ''}), {before[groups[0]]['n']} of them taught. Now: {new['cold']} "
        f"cold, {new['warm']} warm, {new['mastered']} mastered."
    )


_STATES = ("n", "cold", "warm", "mastered", "truncated")


def climb_lines(run: "Run", before: dict, after: dict, columns: int | None) -> list[str]:
    """What climbing came to, from two summaries, behind the first sentence (`outcome.py`), in so
    many columns."""
    lines = ["", *table(before, after, columns), ""]
    for group, sort in zip(APART["heldout"], SORTS):
        old, new = before[group], after[group]
        if new["n"]:
            low, high = new["ci95"]
            lines.append(
                f"Held-out {sort} tasks, which it never trained on: pass@1 "
                f"{old['pass_at_1']:.3f} before, "
                f"{new['pass_at_1']:.3f} after ({new['pass_at_1'] - old['pass_at_1']:+.3f}; 95 % "
                f"interval {low:.3f} to "
                f"{high:.3f}). The best checkpoint was chosen by held-out tasks on other seeds."
            )
    if warning := alarm(run.read("metrics.jsonl")):
        lines.append(warning)
    return [
        *lines,
        f"The best checkpoint is {shown(run.checkpoint('best'))}.",
        "",
        "Next: look at it, or let it mend tests that fail:",
        command_line(run, "report"),
        command_line(run, "fix"),
    ]


NUMBERS, STATES_BESIDE = 45, 19
"""Columns of the table's numbers, and of how many tasks are cold, warm and mastered."""


def table(before: dict, after: dict, columns: int | None = None) -> list[str]:
    """What pass@1 is, and two summaries side by side, a line a group; no two sorts of tasks are in
    one figure. Where there are too few `columns`, how many are cold, warm and mastered is left
    out."""
    k, groups = after["all"]["k"], [group for group in SHOWN_GROUPS if after[group]["n"]]
    left = max([14, *(len(SHORT_WORDS[group]) for group in groups)]) + 1
    whole = columns is None or columns >= left + NUMBERS + STATES_BESIDE
    states = f"{'cold':>5}{'warm':>5}{'mastered':>9}"
    lines = [
        "pass@1: the share of single tries that are right; "
        f"pass@{k}: of tasks, solved in {k} tries.",
        f"{'pass@1':{left}}{'tasks':>6}{'before':>8}{'after':>7}  {'95 % interval':14}"
        f"{f'pass@{k}':>8}{states if whole else ''}",
    ]
    for group in groups:
        old, new = before[group], after[group]
        low, high = new["ci95"]
        states = f"{new['cold']:5}{new['warm']:5}{new['mastered']:9}"
        lines.append(
            f"{SHORT_WORDS[group]:{left}}{new['n']:6}{old['pass_at_1']:8.3f}{new['pass_at_1']:7.3f}"
            f"  {low:.3f} to {high:.3f}{new['pass_at_k']:8.3f}{states if whole else ''}"
        )
        lines += _of_turns(old, new, left)
    return lines


def _of_turns(before: dict, after: dict, left: int) -> list[str]:
    """What the first turn alone came to, of two summaries, where rollouts have several."""
    if "turns" not in after:
        return []
    first = [p.get("pass_at_1_turn_1", p["pass_at_1"]) for p in (before, after)]
    return [
        f"{'  first turn':{left}}{'':6}{first[0]:8.3f}{first[1]:7.3f}  "
        f"({after['turns']:.2f} turns a rollout)"
    ]


def heldout_metrics(summaries: dict) -> dict:
    """What a line of metrics.jsonl says of the held-out tasks, from {group: summary};
    "heldout/pass_at_1" is what the best checkpoint is chosen by."""
    if not summaries:
        return {"heldout/pass_at_1": None, "heldout/low": None, "heldout/high": None}
    low, high = summaries["heldout"]["ci95"]
    line = {
        "heldout/pass_at_1": summaries["heldout"]["pass_at_1"],
        "heldout/low": low,
        "heldout/high": high,
    }
    for group, name in zip(APART["heldout"], SORTS):
        if summaries[group]["n"]:
            low, high = summaries[group]["ci95"]
            line |= {
                f"heldout/{name}": summaries[group]["pass_at_1"],
                f"heldout/{name}/low": low,
                f"heldout/{name}/high": high,
            }
    return line


def heldout_words(line: dict, best: bool) -> str:
    """The same for a person; "" where nothing was measured."""
    values = [
        f"{line[f'heldout/{name}']:.3f} {name}"
        for name in SORTS
        if line.get(f"heldout/{name}") is not None
    ]
    return (
        f"held-out pass@1 {', '.join(values)}{', the best so far' if best else ''}"
        if values
        else ""
    )


def cut_off_sentence(probes: list[TaskProbe], max_new: int) -> str:
    """What a person is told of cold tasks whose rollouts were cut off; "" where there are none."""
    cut_off, stopped = sum(p.cut_off for p in probes), sum(p.unsampled > 0 for p in probes)
    if not cut_off:
        return ""
    sentence = (
        f"{cut_off} of {len(probes)} tasks for training were never solved and cut off at {max_new} "
        "tokens: they are taught like "
        "the other cold ones. --set student.max_new=N gives a new run more room."
    )
    if stopped:
        sentence += (
            f" Of {stopped} the first half of the samples were all cut off, and the others were "
            "not sampled; these count as unsolved."
        )
    return sentence
