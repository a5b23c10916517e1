"""What a run has come to: as data for machines (DESIGN.md, section 10), and as lines of text for people. Nothing is printed here."""
from recipes.measure import TaskProbe, summarise

GROUPS = ("taught", "untaught", "heldout", "all", "were_warm")
GROUP_WORDS = {"taught": "training, taught", "untaught": "training, tests only", "heldout": "held out", "all": "all",
               "were_warm": "training, warm before"}
"""What a person is told that they are."""


def read_probes(run, phase: str) -> list[TaskProbe]:
    return [TaskProbe(r["instance_id"], r["k"], r["resolved"], r["truncated"]) for r in run.read("probe.jsonl") if r["phase"] == phase]


def probe_summary(run, phase: str) -> dict:
    """{group: summary} for the groups of `grouped`."""
    groups = grouped(run, read_probes(run, phase))
    return {name: summarise(groups[name], run.recipe.probe.temperature, run.recipe.seed) for name in GROUPS}


def grouped(run, probes: list[TaskProbe]) -> dict[str, list[TaskProbe]]:
    """{group: probes} for GROUPS. `taught` are the tasks that a teacher's verified answer was learned for; what the student learned again
    of its own rollouts was not taught. `were_warm`: the training tasks that it solved now and then before anybody taught it, and should
    not come to lose."""
    taught = {r["instance_id"] for r in run.read("trajectories.jsonl") if r["source"] != "student"}
    heldout = {t.instance_id for t in run.tasks if t.split == "heldout"}
    warm = {p.instance_id for p in read_probes(run, "before") if p.state == "warm"} - heldout
    return {"all": probes, "taught": [p for p in probes if p.instance_id in taught],
            "heldout": [p for p in probes if p.instance_id in heldout],
            "untaught": [p for p in probes if p.instance_id not in taught and p.instance_id not in heldout],
            "were_warm": [p for p in probes if p.instance_id in warm]}


def mined_facts(run) -> dict:
    """What `tasks` tells."""
    tasks = run.tasks
    counts = {kind: {split: sum(t.kind == kind and t.split == split for t in tasks) for split in ("train", "heldout")}
              for kind in sorted({t.kind for t in tasks})}
    found = {kind: {"hard": sum(t.hard for t in tasks if t.kind == kind), "soft": sum(not t.hard for t in tasks if t.kind == kind),
                    "with_twins": sum(bool(t.twin_tests) for t in tasks if t.kind == kind)} for kind in counts}
    repository = run.repository
    return {"repo": repository.root, "commit": repository.commit, "python": repository.python, "counts": counts, "kinds": found,
            "excluded": run.content["excluded"], "notes": list(repository.notes),
            "seconds": run.content["seconds"].get("mine", 0.0),
            "tasks": [{"instance_id": t.instance_id, "kind": t.kind, "split": t.split, "file": t.file, "function": t.function,
                       "fail_to_pass": len(t.FAIL_TO_PASS), "pass_to_pass": len(t.PASS_TO_PASS), "twins": len(t.twin_tests),
                       "hard": t.hard} for t in tasks]}


def task_lines(run) -> list[str]:
    """The tasks one by one, then a table of their kinds."""
    lines = [f"{task.split:8} {task.instance_id}  ({len(task.FAIL_TO_PASS)} tests to mend, {len(task.PASS_TO_PASS)} to keep)"
             for task in run.tasks]
    facts = mined_facts(run)
    lines += ["", f"{'kind':8} {'train':>7} {'held out':>9} {'hard':>6} {'soft':>6} {'with twins':>11}"]
    for kind, count in facts["counts"].items():
        found = facts["kinds"][kind]
        lines.append(f"{kind:8} {count['train']:7} {count['heldout']:9} {found['hard']:6} {found['soft']:6} {found['with_twins']:11}")
    return lines


def bootstrap_lines(run, before: dict, after: dict) -> list[str]:
    """What bootstrap came to, from two summaries."""
    train = [before["taught"], before["untaught"]]
    still = after["taught"]["cold"] + after["untaught"]["cold"]
    lines = ["", *table(before, after),
             f"Before, {sum(p['cold'] for p in train)} of {sum(p['n'] for p in train)} training tasks were cold (never solved). "
             f"{before['taught']['n']} were taught. Now {still} are cold, {after['taught']['warm'] + after['untaught']['warm']} warm, "
             f"{after['taught']['mastered'] + after['untaught']['mastered']} mastered."]
    if not any(after[group][state] for group in ("taught", "untaught") for state in ("warm", "mastered")):
        lines.append("No training task is solved even once: this is still a cold start, and RL cannot help. More from a teacher can.")
    else:
        lines.append(f"Next: python coldstart.py climb --run {run.folder}")
    return lines


def climb_lines(run, before: dict, after: dict) -> list[str]:
    """What climbing came to, from two summaries."""
    lines = ["", *table(before, after)]
    low, high = after["heldout"]["ci95"]
    if after["heldout"]["n"]:
        change = after["heldout"]["pass_at_1"] - before["heldout"]["pass_at_1"]
        lines.append(f"Held-out tasks, which it never trained on: pass@1 {before['heldout']['pass_at_1']:.3f} before, "
                     f"{after['heldout']['pass_at_1']:.3f} after ({change:+.3f}; 95 % interval {low:.3f} to {high:.3f}). "
                     "The best checkpoint was chosen by held-out tasks on other seeds.")
    return [*lines, f"The best checkpoint is {run.checkpoint('best')}."]


def table(before: dict, after: dict) -> list[str]:
    """Two summaries side by side, a line a group."""
    k = after["all"]["k"]
    lines = [f"{'':10}{'tasks':>6}  {'pass@1 before':>13}  {'pass@1 after':>12}  {'95 % interval':>15}  {f'pass@{k} after':>13}"
             f"  {'cold':>5} {'warm':>5} {'mastered':>8}"]
    for group in GROUPS:
        old, new = before[group], after[group]
        if new["n"]:
            low, high = new["ci95"]
            lines.append(f"{group.replace('_', ' '):10}{new['n']:6}  {old['pass_at_1']:13.3f}  {new['pass_at_1']:12.3f}"
                         f"  {f'{low:.3f} to {high:.3f}':>15}"
                         f"  {new['pass_at_k']:13.3f}  {new['cold']:5} {new['warm']:5} {new['mastered']:8}")
    return lines


def counted(counts: dict[str, int]) -> str:
    """`3 x this, 1 x that`"""
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))
