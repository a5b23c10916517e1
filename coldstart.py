"""coldstart: turns your own repository into a gym for a small local coding model.

    python coldstart.py demo practice                      # a practice repository to try it on
    python coldstart.py bootstrap --repo practice          # past the cold start, with a teacher
    python coldstart.py climb                              # REINFORCE on the repository's own tests; no teacher any more
    python coldstart.py fix                                # what the student is for: tests that fail now

Reinforcement learning needs rollouts that succeeded: a task the model never solves gives a zero gradient. So `bootstrap` 1. mines
tasks from the repository's tests, 2. probes which the student never solves (cold), 3. asks a teacher for those only, and keeps
what the tests verify, 4. fine-tunes the student on it and probes again. `climb` 5. goes on from there on the student's own
rollouts, and 6. needs no teacher, no key and no network.

Exit codes: 0 done, 1 the answer is no (not resolved, still cold, not solved), 2 bad usage or input, 3 the harness or the machine failed,
130 interrupted. `--json` prints one JSON object as the last line of standard output; progress goes to standard error.
"""
import json
import os
import shutil
import sys
import time
from collections import Counter
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import click

from recipes import facts
from sandbox.errors import HarnessError, UsageError
from sandbox.jsonl import write_aside

PROBE_CHUNK = 24
"""Tasks that are sampled and judged between two records of a probe on the disk."""


# ==================================================================================================== the command line

class Screen:
    """What a person sees: sentences on standard output, one progress bar on standard error, none of it where a machine reads."""

    def __init__(self, as_json: bool) -> None:
        self.as_json, self._bar, self._what = as_json, None, None

    def say(self, text: str = "") -> None:
        self.end_bar()
        click.echo(text, err=self.as_json)

    @property
    def width(self) -> int:
        """Columns that a text may take."""
        return min(200, max(60, shutil.get_terminal_size().columns))

    def say_facts(self, lines: list[str]) -> None:
        """What a command was asked for, where no machine reads: beside JSON it would be said twice."""
        if not self.as_json:
            self.say("\n".join(lines))

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done. Silent where standard error is no terminal."""
        from tqdm import tqdm

        if self._what != what:
            self.end_bar()
            self._bar, self._what = tqdm(total=total, desc=what, leave=False, disable=not sys.stderr.isatty()), what
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = self._what = None

    def result(self, record: dict) -> None:
        """The last line for machines."""
        self.end_bar()
        if self.as_json:
            click.echo(json.dumps(record))


class Commands(click.Group):
    """A click group whose errors are sentences with the right exit code."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except (UsageError, HarnessError, OSError, KeyboardInterrupt) as error:
            if os.environ.get("COLDSTART_TRACEBACK"):
                import traceback
                traceback.print_exc()
            code, text = self._in_words(error)
        click.echo(f"coldstart: {text}", err=True)
        context.exit(code)

    @staticmethod
    def _in_words(error: BaseException) -> tuple[int, str]:
        if isinstance(error, UsageError):
            return 2, str(error)
        if isinstance(error, HarnessError):
            return 3, f"The harness failed, and nothing was judged by it: {error}"
        if isinstance(error, OSError):
            return 2, f"{error.filename or 'The disk'}: {error.strerror}. What was done is kept; give the same command again."
        return 130, "Interrupted. What was done is kept; give the same command again to go on."


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.pass_context
def cli(context) -> None:
    """Turn your own repository into a gym for a small local coding model."""
    from recipes.endpoint import take_keys

    context.obj = take_keys()                      # first of all, so that no process started from here inherits a teacher's key
    # Before torch is imported: freed memory can then serve pieces of any size, which fills a small card to the brim.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")


def run_option(function):
    return click.option("--run", "run_folder", type=click.Path(path_type=Path), help="The run's folder. [default: runs/latest]")(function)


def json_option(function):
    return click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line of standard output.")(function)


def new_run_options(function):
    for option in (
        click.option("--repo", type=click.Path(path_type=Path), help="The repository to learn from (a git work tree with pytest tests)."),
        click.option("--python", help="The project's interpreter. [default: its .venv, venv, $VIRTUAL_ENV, else this one]"),
        click.option("--recipe", default="auto", show_default=True, help="A name in recipes/ or the path of a TOML file."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one setting, as in climb.cycles=20."),
        click.option("--seed", type=int, help="All randomness flows from this. [default: the recipe's]"),
        click.option("--new", is_flag=True, help="Start a new run even where one could be continued."),
    ):
        function = option(function)
    return function


def teacher_options(function):
    for option in (
        click.option("--dry-run", is_flag=True,
                     help="Stop before the teacher is asked: say what would be sent and its cost; write the prompts to RUN/prompts."),
        click.option("--terms-acknowledged", is_flag=True,
                     help="You know whether the provider's terms allow training on what its model writes."),
        click.option("--max-usd", type=click.FloatRange(min=0), help="What the teacher may cost in this run, in all. [default: 1.00]"),
        click.option("--price", metavar="IN,OUT",
                     help="US dollars per million tokens, or IN,CACHED,OUT. [default: as in recipes/teachers.toml]"),
        click.option("--teacher-model", help="The model that answers. [default: as in recipes/teachers.toml]"),
        click.option("--teacher", metavar="NAME|URL",
                     help="A name in recipes/teachers.toml, or the URL of an endpoint that speaks the OpenAI chat-completions protocol. Its "
                          "key: in COLDSTART_TEACHER_KEY. [default: reference]"),
    ):
        function = option(function)
    return function


# ==================================================================================================== commands

@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def demo(folder: Path) -> None:
    """Write a practice repository with tests into FOLDER."""
    from sandbox.practice import write_practice_repository

    write_practice_repository(folder)
    click.echo(f"A practice repository is in {folder}. Next: python coldstart.py bootstrap --repo {folder}")


@cli.command()
@click.option("--teacher", metavar="NAME|URL", help="Also make one call of one token to this teacher, with the key in COLDSTART_TEACHER_KEY.")
@click.option("--teacher-model", help="The model that is to answer. [default: as in recipes/teachers.toml]")
@json_option
@click.pass_obj
def doctor(keys, teacher, teacher_model, as_json) -> None:
    """What this machine can do, and the command that mends what it cannot: exit code 1 if the main job could not run."""
    from recipes import doctor

    screen, checks, system = Screen(as_json), [], doctor.this_system()
    for check in doctor.examine(system, Path("runs")):
        checks.append(check)
        screen.say_facts(doctor.lines([check]))
    if teacher:
        from recipes.endpoint import find_endpoint

        checks.append(doctor.check_teacher(lambda: find_endpoint(teacher, teacher_model), keys))
        screen.say_facts(doctor.lines(checks[-1:]))
    able = doctor.can_run(checks)
    screen.say_facts(["", "coldstart can run here." if able else "coldstart cannot run here until what is marked `fault` is mended."])
    screen.result({"able": able, "system": system.family, "wsl": system.wsl, "checks": [check.to_dict() for check in checks]})
    raise SystemExit(0 if able else 1)


@cli.command()
@new_run_options
@click.option("--kinds", help="What kinds of task, as in blank,mutate,revert,failing. [default: the recipe's]")
@click.option("--since", metavar="DATE", help="For revert: only commits since this day, as in 2025-01-31.")
@click.option("--limit", type=click.IntRange(min=0), help="At most this many tasks.")
@run_option
@json_option
def tasks(repo, python, recipe, overrides, seed, new, kinds, since, limit, run_folder, as_json) -> None:
    """Mine tasks from a repository and list them."""
    screen = Screen(as_json)
    named = {"limit": limit, "since": since and json.dumps(since), "kinds": kinds and json.dumps([k.strip() for k in kinds.split(",")])}
    overrides = (*overrides, *(f"tasks.{key}={value}" for key, value in named.items() if value is not None))
    with continue_or_start(repo, python, recipe, overrides, seed, new, run_folder, screen) as run:
        mine_tasks(run, screen)
        if not as_json:
            screen.say("\n".join(facts.task_lines(run)))
        screen.result({**facts.mined_facts(run), "run": str(run.folder)})


@cli.command()
@click.argument("task")
@run_option
@click.option("--overlay", type=click.Path(path_type=Path), help="A folder of files that replace those of the broken state.")
@click.option("--patch", type=click.Path(path_type=Path), help="A unified diff against the broken state.")
@click.option("--reply", type=click.Path(path_type=Path), help="A reply as a model writes it.")
@json_option
def judge(task, run_folder, overlay, patch, reply, as_json) -> None:
    """Judge an edit to TASK in the jail: exit code 0 if it is resolved, 1 if not."""
    from sandbox.edits import InvalidEdit, from_overlay, from_patch, from_reply
    from sandbox.repo import restore_snapshot
    from sandbox.source import decode

    screen = Screen(as_json)
    if sum(option is not None for option in (overlay, patch, reply)) != 1:
        raise UsageError("Give exactly one of --overlay DIR, --patch FILE and --reply FILE.")
    run = find_run(run_folder)
    chosen = find_task(run, task)
    restore_snapshot(run.repository)
    announce_jail(screen)
    broken = chosen.broken(run.repository.snapshot)
    try:
        if overlay is not None:
            if not overlay.is_dir():
                raise UsageError(f"--overlay {overlay} is not a folder.")
            edit = from_overlay(overlay)
        elif patch is not None:
            edit = from_patch(decode(read_input(patch)), broken, run.repository.snapshot)
        else:
            edit = from_reply(decode(read_input(reply)), chosen, broken, run.recipe.prompt.style)
    except InvalidEdit as error:
        edit = error
    with open_judge(run, screen) as court:
        verdict = court.judge_many([(chosen, edit)])[0]
    screen.say(f"{verdict.status}: {verdict.reason}")
    screen.result(verdict.to_dict())
    raise SystemExit(0 if verdict.status == "resolved" else 1)


@cli.command()
@new_run_options
@teacher_options
@run_option
@json_option
@click.pass_obj
def bootstrap(keys, repo, python, recipe, overrides, seed, new, teacher, teacher_model, price, max_usd, terms_acknowledged, dry_run,
              run_folder, as_json) -> None:
    """Get the student past the cold start: mine, probe, teach the cold tasks, fine-tune, probe again."""
    screen = Screen(as_json)
    with continue_or_start(repo, python, recipe, overrides, seed, new, run_folder, screen) as run:
        hired = hire_teacher(run, keys, teacher, teacher_model, price, max_usd, terms_acknowledged, dry_run)
        mine_tasks(run, screen)                                                  # 1. tasks from the repository's own tests
        with open_judge(run, screen) as court:
            bench = Workbench(run, court, screen, hired)
            bench.probe("before")                                                # 2. which does the student never solve?
            if dry_run:
                screen.result({"run": str(run.folder), "recipe": run.recipe.name, "student": run.recipe.student.model,
                               "teacher": bench.dry_run(), "probe": {"before": bench.summary("before")}, "seconds": run.content["seconds"]})
                return
            bench.teach()                                                        # 3. a teacher for the cold ones only
            bench.distil()                                                       # 4. until the student solves some itself
            bench.probe("after")
        before, after = bench.summary("before"), bench.summary("after")
        screen.say("\n".join(facts.bootstrap_lines(run, before, after)))
        screen.result({"run": str(run.folder), "recipe": run.recipe.name, "student": run.recipe.student.model,
                       "teacher": bench.teacher_facts(), "probe": {"before": before, "after": after}, "seconds": run.content["seconds"]})
        if not bench.anything_solved("after"):
            raise SystemExit(1)


@cli.command()
@run_option
@click.option("--cycles", type=click.IntRange(min=1), help="Climb until the run has so many cycles in all. [default: the recipe's]")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after the cycle in which this time is over.")
@json_option
def climb(run_folder, cycles, minutes, as_json) -> None:
    """REINFORCE on the repository's own tests: no teacher, no key, no network."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    screen = Screen(as_json)
    with find_run(run_folder) as run:
        if not run.is_done("after"):
            raise UsageError(f"{run.folder} has not been bootstrapped. First: python coldstart.py bootstrap --run {run.folder}")
        announce_jail(screen)
        with open_judge(run, screen) as court:
            bench = Workbench(run, court, screen)
            if not bench.anything_solved("after"):
                from recipes.reinforce import cold_start_in_words
                screen.say(cold_start_in_words(len(bench.by_split("train")), run.recipe.probe.k))
                raise SystemExit(1)
            done = bench.climb(cycles or run.recipe.climb.cycles, minutes)        # 5. REINFORCE, 6. nobody else is asked
            phase = f"climb-{done:04d}"
            bench.probe(phase)
        before, after = bench.summary("after"), bench.summary(phase)
        screen.say("\n".join(facts.climb_lines(run, before, after)))
        metrics = run.read("metrics.jsonl")
        screen.result({"run": str(run.folder), "cycles": done, "probe": {"before": before, "after": after},
                       "zero_variance": {c: sum(m[f"groups/{c}"] for m in metrics) for c in ("cold", "mastered", "truncated")},
                       "rollouts": sum(m["rollouts"] for m in metrics), "best_checkpoint": run.checkpoint("best").name,
                       "seconds": run.content["seconds"]})


@cli.command()
@run_option
@json_option
def status(run_folder, as_json) -> None:
    """Where the run stands, and what to do next. Works while another command is at work on it, too."""
    from recipes import status

    screen = Screen(as_json)
    found = status.run_facts(find_run(run_folder))
    screen.say_facts(status.lines(found, screen.width))
    screen.result(found)


@cli.command("eval")
@run_option
@click.option("--checkpoint", default="best", show_default=True, help="Which one: best, last, distilled, or a name in RUN/checkpoints.")
@click.option("--split", type=click.Choice(("heldout", "all", "train")), default="heldout", show_default=True, help="Which tasks.")
@click.option("--k", type=click.IntRange(min=1), help="Samples of each task. [default: the recipe's]")
@click.option("--temperature", type=click.FloatRange(min=0), help="Of the samples; 0 takes the likeliest. [default: the recipe's]")
@click.option("--voice", is_flag=True, help="Also ask it who it is, and count the answers that name a teacher or vendor.")
@json_option
def evaluate(run_folder, checkpoint, split, k, temperature, voice, as_json) -> None:
    """Measure a checkpoint beside its base, on the same tasks and seeds, and say whether the difference is more than chance."""
    from recipes import evaluation

    os.environ["HF_HUB_OFFLINE"] = "1"
    screen = Screen(as_json)
    with find_run(run_folder) as run:
        temperature = run.recipe.probe.temperature if temperature is None else temperature
        k, name = evaluation.samples(k, temperature, run.recipe.probe.k), run.checkpoint(checkpoint).name
        announce_jail(screen)
        with open_judge(run, screen) as court:
            found = Workbench(run, court, screen).evaluate(name, split, k, temperature, voice)
    screen.say_facts(evaluation.lines(found, name, screen.width))
    screen.result({"run": str(run.folder), "checkpoint": name, **found})


@cli.command()
@click.argument("names", nargs=-1, metavar="[NODE_ID]...")
@click.option("--repo", type=click.Path(path_type=Path), help="Whose tests fail. [default: the run's repository]")
@run_option
@click.option("--checkpoint", default="best", show_default=True, help="Who writes: best, last, distilled, or a name in RUN/checkpoints.")
@click.option("--samples", type=click.IntRange(min=1), default=16, show_default=True, help="Edits of a failing test, at most.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Begin nothing new when this time is over.")
@click.option("--apply", "apply_it", is_flag=True, help="Write what was verified to the work tree.")
@click.option("--branch", metavar="NAME", help="Commit what was verified on a new branch, and leave work tree and index alone.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask before a file is changed that has uncommitted changes.")
@json_option
def fix(names, repo, run_folder, checkpoint, samples, minutes, apply_it, branch, yes, as_json) -> None:
    """Mend tests that fail now (all, or those of NODE_ID: a test, a class, a file) with the student: exit code 1 if one is left.

    Without --apply and --branch the repository is only read."""
    from recipes import fixing
    from sandbox.repo import check_jail, open_repository
    from sandbox.worktree import WorkTree

    os.environ["HF_HUB_OFFLINE"] = "1"
    screen = Screen(as_json)
    if apply_it and branch:
        raise UsageError("Give --apply or --branch, not both.")
    with find_run(run_folder) as run:
        folder = run.checkpoint(checkpoint)
        same = repo is None or Path(os.path.abspath(repo)) == Path(run.repository.root)
        repository = open_repository(repo or run.repository.root, run.repository.python if same else None)
        tree = WorkTree(Path(repository.root))
        if branch:
            tree.check_branch(branch)
        if notice := check_jail(repository):
            screen.say(notice)
        if repository.dirty:
            screen.say(f"{repository.root} has uncommitted changes: the last commit plus these changes is what is mended.")
        search = fixing.Search(repository, limits_of(run.recipe), run.recipe, names, samples, minutes and 60 * minutes,
                               lambda chats: open_writer(run, folder, chats, screen), screen.progress, screen.say)
        outcomes = []
        for outcome in search.outcomes():
            outcomes.append(outcome)
            screen.say("\n".join(fixing.lines(outcome)))
            if outcome.best is not None:
                screen.say(coloured(outcome.best.patch))
    screen.say("\n".join(fixing.summary_lines(search)))
    written = write_fixes(search.changed, tree, apply_it, yes, branch, screen)
    screen.result({"run": str(run.folder), "checkpoint": folder.name, "repo": repository.root, "failing": list(search.failing),
                   "left": list(search.left), "left_out": search.left_out, "outcomes": [o.to_dict() for o in outcomes], **written})
    raise SystemExit(1 if search.left else 0)


@cli.command()
@run_option
@json_option
def report(run_folder, as_json) -> None:
    """Write RUN/report.html: the whole run on one page that needs nothing but itself."""
    run, screen = find_run(run_folder), Screen(as_json)
    try:
        from recipes.report import page
    except ModuleNotFoundError as error:
        raise UsageError(f"The report needs {error.name}: pip install -r requirements-cpu.txt") from None
    file = run.folder / "report.html"
    write_aside(file, page(run, versions()).encode("utf-8", "replace"))
    screen.say(f"The report is {file}")
    screen.result({"run": str(run.folder), "report": str(file)})


@cli.command()
@run_option
@json_option
def teacher(run_folder, as_json) -> None:
    """What API teachers were asked in a run and what it cost, by model and task; and in the runs beside it."""
    from recipes.ledger import read_summary, spend_lines

    run = find_run(run_folder)
    screen = Screen(as_json)
    found = read_summary(run.folder)
    by_run = {ledger.parent.name: read_summary(ledger.parent) for ledger in sorted(run.folder.resolve().parent.glob("*/teacher.sqlite"))
              if not ledger.parent.is_symlink()}
    screen.say("\n".join(spend_lines(str(run.folder), found, by_run)))
    totals = {name: {key: value for key, value in sums.items() if not key.startswith("by_")} for name, sums in by_run.items()}
    screen.result({"run": str(run.folder), **found, "by_run": totals})


# ==================================================================================================== the steps

@contextmanager
def step(run, name: str):
    """Time one step and mark it done at its end; the time of a step that was cut off is added too."""
    started = time.monotonic()
    try:
        yield
    except BaseException:
        run.add_seconds(name, time.monotonic() - started)
        raise
    run.mark_done(name, time.monotonic() - started)


def mine_tasks(run, screen: Screen) -> None:
    """Step 1: tasks.jsonl, from the repository's own tests."""
    from sandbox.mine import mine

    if run.is_done("mine"):
        return
    recipe = run.recipe
    with step(run, "mine"):
        mined = mine(run.repository, limits_of(recipe), run.folder, recipe.tasks.heldout, recipe.tasks.limit, recipe.seed, screen.progress,
                     recipe.tasks.kinds, recipe.tasks.since)
        tasks, excluded = without_secrets(run, mined.tasks, mined.excluded, screen)
        if not tasks:
            raise UsageError(f"{run.repository.root} gives no valid task: " + facts.counted(excluded) + ".")
        run.keep_only("tasks.jsonl", [t.to_dict() for t in tasks])
        run.content["excluded"] = excluded
    counts = {split: sum(t.split == split for t in tasks) for split in ("train", "heldout")}
    screen.say(f"{len(tasks)} tasks mined: {counts['train']} for training, {counts['heldout']} held out. "
               + (f"Left out: {facts.counted(excluded)}." if excluded else ""))


def without_secrets(run, tasks: list, excluded: dict[str, int], screen: Screen) -> tuple[list, dict[str, int]]:
    """The tasks that hold nothing that looks like a secret, and the reasons why others are left out: a secret is not to be learned, sent,
    or copied to the run folder."""
    from recipes.outgoing import Guard, texts_of

    guard = Guard(run.repository)
    held = {t.instance_id: why for t in tasks if (why := guard.objection(texts_of(t.to_dict())))}
    if not held:
        return tasks, excluded
    for name, why in held.items():
        screen.say(f"{name} is left out: {why}.")
    reason = "task that holds what looks like a secret"
    run.keep_only("mining.jsonl", [{"instance_id": r["instance_id"], "task": None, "reason": reason} if r["instance_id"] in held else r
                                   for r in run.read("mining.jsonl")])
    return [t for t in tasks if t.instance_id not in held], {**excluded, reason: len(held)}


def hire_teacher(run, keys, teacher, model, price, max_usd, terms_acknowledged, dry_run):
    """The API teacher that is named now or was named before, remembered in run.json; None for the reference teacher."""
    from recipes.hiring import hire

    known = run.content.get("teacher")
    if run.is_done("teach") and (teacher or dry_run):
        raise UsageError(f"{run.folder} has been taught already. Start a new run to ask another teacher: --new, or another folder with "
                         "--run.")
    if run.is_done("teach"):
        return None
    hired = hire(known, keys, teacher, model, price, max_usd, terms_acknowledged, dry_run)
    if not dry_run and (hired and hired.to_dict()) != known:
        run.content["teacher"] = hired and hired.to_dict()
        run.write()
    return hired


class Workbench:
    """The student at work on one run: loads it when it is first needed, and takes the steps of both loops."""

    def __init__(self, run, court, screen: Screen, hired=None) -> None:
        self.run, self.court, self.screen, self.recipe, self.hired = run, court, screen, run.recipe, hired
        self.tree, self.tasks = run.repository.snapshot, run.tasks
        self._student = self._prompts = self._engine = None

    # -------------------------------------------------------------------------------- the student and its prompts

    @property
    def student(self):
        if self._student is None:
            from recipes.student import Student

            self._student = Student.load(self.recipe, self._model_path(), self.recipe.seed)
        while self._student.notes:                 # some come later, when memory has run out
            self.screen.say(self._student.notes.pop(0))
        return self._student

    def _model_path(self) -> Path | str:
        if self.recipe.student.model != "nano":
            return self.recipe.student.model
        from recipes.nano import make_student
        from sandbox.repo import cache_folder

        with step_time(self.run, "student"):
            return make_student(cache_folder() / "students", self.recipe.seed, on_progress=self.screen.progress)

    @property
    def prompts(self) -> dict[str, list[int]]:
        """{instance_id: prompt ids} of the tasks whose prompt is short enough for the recipe."""
        if self._prompts is None:
            from recipes.prompts import messages

            ids = {t.instance_id: self.student.prompt_ids(messages(t, self.tree, self.recipe.prompt.style)) for t in self.tasks}
            self._prompts = {name: p for name, p in ids.items() if len(p) <= self.recipe.student.max_prompt}
            if left_out := len(ids) - len(self._prompts):
                self.screen.say(f"{left_out} tasks are left out: their prompt is longer than {self.recipe.student.max_prompt} tokens.")
            if not self._prompts:
                raise UsageError(f"Every task's prompt is longer than {self.recipe.student.max_prompt} tokens. "
                                 "Raise it with --set student.max_prompt=N, or choose another recipe.")
        return self._prompts

    @property
    def engine(self):
        """What samples; the run keeps the one that it began with, so that a continued run writes the same."""
        if self._engine is None:
            from recipes import engines
            from sandbox.repo import cache_folder

            name = self.run.content.get("engine")
            if name is None:
                name, why = engines.choose(self.student, self.recipe)
                self.screen.say(why)
                self.run.content["engine"] = name
                self.run.write()
            for note in engines.notes(name, self.student):
                self.screen.say(note)
            self._engine = engines.open_engine(name, self.student, self.recipe, cache_folder() / "gguf", self.screen.progress)
        return self._engine

    def _check_policy(self) -> None:
        """Refuse to go on where what samples is not what is trained; with the adapter as it is now."""
        from recipes.engines import check_policy

        check_policy(self.engine, list(self.prompts.values()), self.recipe)

    def by_split(self, split: str) -> list:
        return [t for t in self.tasks if t.split == split and t.instance_id in self.prompts]

    def judge_replies(self, pairs: list, style: str | None = None) -> list:
        """Verdicts for (task, reply text) pairs, written in the student's style if no other is named."""
        from sandbox.edits import InvalidEdit, from_reply

        edits = {}                                 # a student often writes the same thing again

        def edit(task, reply):
            if (key := (task.instance_id, reply)) not in edits:
                try:
                    edits[key] = from_reply(reply, task, task.broken(self.tree), style or self.recipe.prompt.style)
                except InvalidEdit as error:
                    edits[key] = error
            return edits[key]

        # One after the other, so that the gate finds the syntax tree of what was just made still at hand.
        return self.court.judge_many((task, edit(task, reply)) for task, reply in pairs)

    # -------------------------------------------------------------------------------- measuring

    def probe(self, phase: str) -> None:
        """k rollouts of every task: probe.jsonl and rollouts.jsonl, a chunk at a time."""
        from recipes.measure import probe

        if self.run.is_done(phase):
            return
        if phase != "before":
            self.student.restore(self.run.checkpoint("best"))
        known = {r["instance_id"] for r in self.run.read("probe.jsonl") if r["phase"] == phase}
        self._drop_rollouts(lambda r: r["phase"] == phase and r["instance_id"] not in known)
        wanted = [t for t in self.tasks if t.instance_id in self.prompts]
        pending = [(t, self.prompts[t.instance_id]) for t in wanted if t.instance_id not in known]
        settings, done = self.recipe.probe, len(known)
        with step(self.run, phase):
            self._check_policy()
            for chunk in probe(self.engine, pending, settings.k, settings.temperature, self.recipe.student.max_new, self.recipe.seed,
                               self.judge_replies, PROBE_CHUNK):
                self.run.append("rollouts.jsonl", [{"phase": phase, **r.record()} for _, group in chunk for r in group])
                self.run.append("probe.jsonl", [{"phase": phase, "temperature": settings.temperature, "instance_id": p.instance_id, "k": p.k,
                                                 "resolved": p.resolved, "truncated": p.truncated} for p, _ in chunk])
                done += len(chunk)
                self.screen.progress(f"probing the student ({phase})", done, len(wanted))

    def evaluate(self, checkpoint: str, split: str, k: int, temperature: float, voice: bool) -> dict:
        """Base and checkpoint on the same tasks and seeds: eval.jsonl, a chunk at a time, and voice.jsonl. What is known is not measured
        again."""
        from recipes import evaluation
        from recipes.voice import count

        folder, spoken = self.run.checkpoint(checkpoint), {}
        chosen = evaluation.choose([t for t in self.tasks if t.instance_id in self.prompts], split)
        measured = []
        for name, adapter in ((evaluation.BASE, evaluation.BASE), (checkpoint, evaluation.name_of(folder))):
            if adapter != evaluation.BASE:
                self.student.restore(folder)
            known = evaluation.read(self.run, adapter, k, temperature)
            self._measure(adapter, name, [t for t in chosen if t.instance_id not in known], k, temperature)
            known = evaluation.read(self.run, adapter, k, temperature)
            measured.append([known[t.instance_id] for t in chosen])
            if voice:
                spoken[name] = count(self._ask_who_it_is(adapter, k, temperature))
        return {**evaluation.compare(self.run, *measured, temperature), **({"voice": spoken} if voice else {})}

    def _measure(self, adapter: str, name: str, tasks: list, k: int, temperature: float) -> None:
        """Lines of eval.jsonl for the student as it is."""
        from recipes import evaluation
        from recipes.measure import probe

        pending, done = [(t, self.prompts[t.instance_id]) for t in tasks], 0
        for chunk in probe(self.student, pending, k, temperature, self.recipe.student.max_new, self.recipe.seed + evaluation.SEED_STEP,
                           self.judge_replies, PROBE_CHUNK):
            self.run.append(evaluation.FILE, [evaluation.record(adapter, k, temperature, p) for p, _ in chunk])
            done += len(chunk)
            self.screen.progress(f"measuring {name}", done, len(pending))

    def _ask_who_it_is(self, adapter: str, k: int, temperature: float) -> list[str]:
        """k answers to each of the questions about itself, added to voice.jsonl."""
        from recipes.measure import derived_seed
        from recipes.rollout import sample
        from recipes.voice import QUESTIONS, named

        prompts = [self.student.prompt_ids([{"role": "user", "content": question}]) for question in QUESTIONS]
        seeds = [derived_seed("voice", self.recipe.seed, question) for question in QUESTIONS]
        groups = sample(self.student, prompts, k, temperature, self.recipe.student.max_new, seeds)
        answers = [(question, self.student.text(c.ids)) for question, group in zip(QUESTIONS, groups) for c in group]
        self.run.append("voice.jsonl", [{"adapter": adapter, "temperature": temperature, "question": question, "answer": answer,
                                         "names": named(answer)} for question, answer in answers])
        return [answer for _, answer in answers]

    def _drop_rollouts(self, cut_off) -> None:
        """Drop the lines of a step that was cut off before they counted."""
        rollouts = self.run.read("rollouts.jsonl")
        kept = [r for r in rollouts if not cut_off(r)]
        if len(kept) < len(rollouts):
            self.run.keep_only("rollouts.jsonl", kept)

    def summary(self, phase: str) -> dict:
        return facts.probe_summary(self.run, phase)

    def anything_solved(self, phase: str) -> bool:
        """Whether a task for training was solved at least once: what REINFORCE needs."""
        train = {t.instance_id for t in self.tasks if t.split == "train"}
        return any(r["resolved"] for r in self.run.read("probe.jsonl") if r["phase"] == phase and r["instance_id"] in train)

    # -------------------------------------------------------------------------------- bootstrap

    def cold_for_teacher(self) -> list:
        """The reference teacher is the gold edit: where there is none, it has nothing to say."""
        from recipes.teacher import choose_cold

        states = {p.instance_id: p.state for p in facts.read_probes(self.run, "before")}
        is_model = self.hired or self.run.content.get("teacher")
        return choose_cold([t for t in self.tasks if t.patch or is_model], states, self.recipe.teacher.share, self.recipe.seed)

    def dry_run(self) -> dict:
        """Say what the API teacher would be sent and what it would cost, write the prompts to RUN/prompts, and return the same as data."""
        planned = self._plan()
        folder = self.run.folder / "prompts"
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.txt"):
            old.unlink()
        for name, prompt in planned.prompts.items():
            (folder / f"{name}.txt").write_text(prompt[0]["content"], encoding="utf-8", errors="replace")
        self.screen.say(f"Nothing was sent. What would be sent first of all is in {folder}.")
        return {"name": self.hired.endpoint.name, "model": self.hired.endpoint.model, "requests": 0, "usd": 0.0, "asked": 0, "verified": 0,
                "plan": {**planned.to_dict(), "max_usd": self.hired.max_usd}}

    def _plan(self):
        from recipes.hiring import plan

        planned = plan(self.cold_for_teacher(), self.tree, self.hired.endpoint, self.recipe.teacher, self._guard)
        for line in planned.lines(self.hired):
            self.screen.say(line)
        return planned

    @cached_property
    def _guard(self):
        from recipes.outgoing import Guard

        return Guard(self.run.repository)

    def teach(self) -> None:
        """Ask the teacher for the cold tasks; what the tests verify becomes trajectories.jsonl, beside rollouts of the student's own."""
        if self.run.is_done("teach"):
            return
        chosen = self.cold_for_teacher()
        if self.hired is None:
            self.screen.say("No API teacher is named, so the reference teacher answers: with the repository's own code, verified like any "
                            "other.")
        with step(self.run, "teach"):
            asked = self._ask_reference(chosen) if self.hired is None else self._ask_api_teacher(chosen)
            self._add_replay()
        self.screen.say(f"{asked} cold tasks were given to the teacher; the tests verified {len(self._taught())} answers.")

    def _taught(self) -> list[dict]:
        """The verified answers of teachers."""
        return [r for r in self.run.read("trajectories.jsonl") if r["source"] != "student"]

    def _ask_reference(self, chosen: list) -> int:
        """Ask for the gold edits of all tasks; returns how many these are."""
        from recipes.prompts import messages
        from recipes.teacher import ReferenceTeacher

        known = {r["instance_id"] for r in self.run.read("trajectories.jsonl")}
        teacher = ReferenceTeacher(self.tree, self.recipe.prompt.style)
        pending = [t for t in chosen if t.instance_id not in known]
        self.run.append("trajectories.jsonl", [])
        for start in range(0, len(pending), PROBE_CHUNK):
            asked = [(t, messages(t, self.tree, self.recipe.prompt.style)) for t in pending[start:start + PROBE_CHUNK]]
            replies = [(t, m, teacher.reply(t, m)) for t, m in asked]
            verdicts = self.judge_replies([(t, reply) for t, _, reply in replies])
            self.run.append("trajectories.jsonl", [
                {"messages": [*m, {"role": "assistant", "content": reply}], "instance_id": t.instance_id, "source": teacher.source,
                 "reward": verdict.reward} for (t, m, reply), verdict in zip(replies, verdicts) if verdict.status == "resolved"])
            self.screen.progress("asking the teacher", start + len(asked), len(pending))
        return len(chosen)

    def _ask_api_teacher(self, chosen: list) -> int:
        """Hold conversations about all tasks that may be sent, as far as the money goes, and return how many these are. Those of a run that
        was cut off are held again, at no cost."""
        from recipes.endpoint import Asker, Client
        from recipes.ledger import Ledger, Replies, as_pico, read_summary
        from recipes.teacher import ApiTeacher, Bench
        from sandbox.repo import cache_folder

        recipe, settings, planned, lessons = self.recipe, self.recipe.teacher, self._plan(), {}
        bench = Bench(self.judge_replies, lambda task, files: self.court.run(
            {"files": files, "ids": list(task.shown), "text": True, "timeout": self.court.limits.timeout + 10 * task.test_seconds}))
        with Replies(cache_folder() / "teacher") as replies, Ledger.open(self.run.folder / "teacher.sqlite", replies) as ledger:
            asker = Asker(Client(self.hired.endpoint, self.hired.key, settings.stall), ledger, replies, as_pico(self.hired.max_usd),
                          settings.tries, settings.pause, recipe.seed)
            teacher = ApiTeacher(asker, settings, recipe.prompt.style, recipe.seed, self.tree, bench, self._guard)
            for lesson in teacher.teach([t for t in chosen if t.instance_id in planned.prompts], planned.prompts):
                lessons[lesson.task.instance_id] = lesson
                self.screen.progress("asking the teacher", len(lessons), len(planned.prompts))
        self.run.keep_only("trajectories.jsonl", [
            {"messages": dialogue, "instance_id": t.instance_id, "source": teacher.source, "reward": 1.0}
            for t in chosen if t.instance_id in lessons for dialogue in lessons[t.instance_id].dialogues])
        if unsolved := Counter(lesson.why for lesson in lessons.values() if not lesson.dialogues):
            self.screen.say(f"Without a verified answer: {facts.counted(unsolved)}.")
        spent = read_summary(self.run.folder)
        self.screen.say(f"{self.hired.endpoint.name} was sent {spent['requests']} requests, for ${spent['usd']:.4f} of at most "
                        f"${self.hired.max_usd:.2f}.")
        return len(lessons)

    def _add_replay(self) -> None:
        """Rollouts that the student itself got right before, so that learning from the teacher does not cost it what it could do."""
        from recipes.prompts import messages
        from recipes.teacher import choose_replay

        taught, tasks = self._taught(), {t.instance_id: t for t in self.tasks}
        rollouts = [r for r in self.run.read("rollouts.jsonl") if r["phase"] == "before"]
        own = choose_replay(self.tasks, rollouts, len(taught), self.recipe.distil.replay, self.recipe.seed)
        if own:
            self.run.keep_only("trajectories.jsonl", taught + [
                {"messages": [*messages(tasks[r["instance_id"]], self.tree, self.recipe.prompt.style),
                              {"role": "assistant", "content": r["text"]}],
                 "instance_id": r["instance_id"], "source": "student", "reward": 1.0} for r in own])

    def teacher_facts(self) -> dict:
        """{"name", "requests", "usd", "asked", "verified"}"""
        from recipes.ledger import read_summary

        asked, named = len(self.cold_for_teacher()), self.run.content.get("teacher")
        verified = len({r["instance_id"] for r in self._taught()})
        if named is None:
            return {"name": "reference", "requests": asked, "usd": 0.0, "asked": asked, "verified": verified}
        spent = read_summary(self.run.folder)
        return {"name": named["endpoint"]["name"], "model": named["endpoint"]["model"], "requests": spent["requests"], "usd": spent["usd"],
                "asked": len(spent["by_task"]), "verified": verified}

    def distil(self) -> None:
        """Fine-tune on the verified trajectories."""
        from recipes.distil import distil
        from recipes.student import Sample

        if self.run.is_done("distil"):
            return
        trajectories = self.run.read("trajectories.jsonl")
        pairs = [Sample(tuple(self.student.prompt_ids(t["messages"][:-1])),
                        tuple(self.student.completion_ids(t["messages"][-1]["content"]))) for t in trajectories]
        examples = [e for e in pairs if len(e.completion) <= self.recipe.student.max_new]
        if len(examples) < len(pairs):
            self.screen.say(f"{len(pairs) - len(examples)} verified answers are longer than the {self.recipe.student.max_new} tokens that the "
                            "student may write, and are left out.")
        folder = self.run.folder / "checkpoints"
        start = self.student.restore(self.run.checkpoint("last"))["step"] if "last" in self.run.content["checkpoints"] else 0
        with step(self.run, "distil"):
            if not examples:
                self.screen.say("No verified answer is left, so there is nothing to distil: the student stays as it is.")
            for now in distil(self.student, examples, self.recipe.distil, self.recipe.seed, start) if examples else ():
                self.screen.progress("fine-tuning on the verified answers", now.step, now.steps)
                if now.step % self.recipe.distil.save_every == 0 and now.step < now.steps:
                    name = f"distil-{now.step:04d}"
                    self.student.save(folder / name, {"step": now.step})
                    self.run.name_checkpoints(last=name)
            self.student.save(folder / "distilled", {"step": self.recipe.distil.steps})
            self.run.name_checkpoints(distilled="distilled", last="distilled", best="distilled")

    # -------------------------------------------------------------------------------- climb

    def climb(self, cycles: int, minutes: float | None) -> int:
        """REINFORCE until the run has `cycles` cycles; returns how many it has."""
        from recipes.reinforce import ClimbState, cycle, in_words

        run, recipe = self.run, self.recipe
        counters = self.student.restore(run.checkpoint("last"))
        state = ClimbState.from_dict(counters.get("climb", {}))
        self._forget_after(state.cycle, counters.get("metrics"))
        if recipe.climb.kl:
            self.student.freeze_reference(run.checkpoint("distilled"))
        started, train = time.monotonic(), self.by_split("train")
        self._check_policy()
        if state.best_pass_at_1 is None and (found := self._heldout()):
            state.is_best(found["pass_at_1"])
        with step_time(run, "climb"):
            while state.cycle < cycles and (minutes is None or time.monotonic() - started < 60 * minutes):
                result = cycle(self.engine, train, self.prompts, state, recipe, self.judge_replies)
                line, name, best = dict(result.metrics), f"cycle-{result.cycle:04d}", False
                if result.cycle % recipe.climb.eval_every == 0 or result.cycle == cycles:
                    found = self._heldout()
                    line["heldout/pass_at_1"] = found and found["pass_at_1"]
                    line["heldout/low"], line["heldout/high"] = found["ci95"] if found else (None, None)
                    best = found is None or state.is_best(found["pass_at_1"])
                run.append("rollouts.jsonl", [{"phase": "climb", "cycle": result.cycle, **r.record()} for r in result.rollouts])
                self.student.save(run.folder / "checkpoints" / name, {"climb": state.to_dict(), "metrics": line})
                run.name_checkpoints(last=name, **({"best": name} if best else {}))
                run.append("metrics.jsonl", [line])
                words = in_words(result)
                if line.get("heldout/pass_at_1") is not None:
                    words += f"; held-out pass@1 {line['heldout/pass_at_1']:.3f}" + (", the best so far" if best else "")
                self.screen.say(words)
                self.screen.progress("climbing", result.cycle, cycles)
        return state.cycle

    def _forget_after(self, cycle: int, line: dict | None) -> None:
        """Bring metrics.jsonl and rollouts.jsonl in step with the checkpoint that climbing goes on from."""
        self._drop_rollouts(lambda r: r["phase"] == "climb" and r["cycle"] > cycle)
        metrics = [m for m in self.run.read("metrics.jsonl") if m["cycle"] < cycle]
        if line is not None:
            self.run.keep_only("metrics.jsonl", [*metrics, line])

    def _heldout(self) -> dict | None:
        """How good it is on the held-out tasks, always on the same seeds, which are not those of the probes; None without such tasks."""
        from recipes.measure import probe, summarise

        pairs = [(t, self.prompts[t.instance_id]) for t in self.by_split("heldout")]
        settings, found = self.recipe.probe, []
        for chunk in probe(self.engine, pairs, settings.k, settings.temperature, self.recipe.student.max_new, self.recipe.seed + 1,
                           self.judge_replies, PROBE_CHUNK):
            found += [p for p, _ in chunk]
        return summarise(found, settings.temperature, self.recipe.seed) if found else None


# ==================================================================================================== runs

@contextmanager
def continue_or_start(repo, python, recipe_name, overrides, seed, new, run_folder, screen: Screen):
    """The run that a command works on, locked: the one that was named, the latest one of the same repository and recipe, or a
    new one."""
    from recipes import load
    from recipes.run import Run
    from sandbox.repo import check_jail, open_repository, restore_snapshot

    def settings():
        return load(recipe_name, [*overrides, *([f"seed={seed}"] if seed is not None else [])])

    if run_folder is not None and (run_folder / "run.json").exists():
        run = Run.open(run_folder)
        if repo is not None and Path(os.path.abspath(repo)) != Path(run.repository.root):
            raise UsageError(f"{run_folder} is a run of {run.repository.root}, not of {repo}. Name another folder with --run.")
        if (recipe_name != "auto" or overrides or seed is not None) and settings() != run.recipe:
            raise UsageError(f"{run_folder} was started with another recipe or other settings, and a run keeps those that it began with. "
                             "Leave --recipe, --set and --seed out, or name another folder with --run.")
        restore_snapshot(run.repository)
        announce_jail(screen)
    else:
        if repo is None:
            raise UsageError("Which repository? Name it with --repo DIR.")
        recipe = settings()
        repository = open_repository(repo, python)
        if notice := check_jail(repository):
            screen.say(notice)
        if repository.dirty:
            screen.say(f"{repo} has uncommitted changes: the last commit plus these changes is what coldstart sees.")
        run = None if new or run_folder is not None else _latest_of(repository, recipe)
        if run is None:
            run = Run.create(run_folder or Run.new_folder(Path("runs"), repository), repository, recipe, versions())
            screen.say(f"Run {run.folder}: {repository.root} at {repository.commit[:10]}, its tests run by {repository.python} "
                       f"(Python {repository.python_version}); recipe {recipe.name}.")
        else:
            screen.say(f"Going on with {run.folder}. (--new starts another run.)")
        if run_folder is None:
            run.point_latest_here()
    with run:
        yield run


def _latest_of(repository, recipe):
    """The latest run, where it is of the same tree and recipe and not yet bootstrapped."""
    from recipes.run import Run

    if not Path("runs/latest/run.json").exists():
        return None
    run = Run.latest(Path("runs"))
    same = run.repository == repository and run.content["recipe"] == json.loads(json.dumps(recipe.to_dict()))
    return run if same and not run.is_done("after") else None


def find_run(folder: Path | None):
    from recipes.run import Run

    return Run.latest(Path("runs")) if folder is None else Run.open(folder)


def find_task(run, name: str):
    import difflib

    known = {t.instance_id: t for t in run.tasks}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise UsageError(f"{run.folder} has no task {name!r}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
    return known[name]


def open_writer(run, checkpoint: Path, chats: list[list[dict]], screen: Screen):
    """What writes the edits of `fix`: llama.cpp, from files that are exported where they are not there yet; else the training model."""
    from importlib.util import find_spec

    from sandbox.repo import cache_folder

    settings, base_folder, why = run.recipe.student, cache_folder() / "gguf", "llama-cpp-python or gguf is not installed"
    longest, able = settings.max_prompt + settings.max_new, find_spec("llama_cpp") and find_spec("gguf")
    if able:
        from recipes import stored

        if files := stored.find(run.folder, checkpoint, base_folder):
            return stored.StoredEngine(stored.StoredStudent(files), longest, settings.threads)
    screen.say("The student is loaded with torch" + (": only this once, to write its files for llama.cpp." if able else "."))
    student = Workbench(run, None, screen).student
    student.restore(checkpoint)
    if able:
        try:
            files = stored.export(student, run.folder, checkpoint, base_folder, chats, longest, screen.progress)
            return stored.StoredEngine(stored.StoredStudent(files), longest, settings.threads)
        except stored.NotExportable as error:
            why = str(error)
    from recipes.model_engine import ModelEngine

    screen.say(f"The training model writes the edits itself, because {why}.")
    return ModelEngine(student)


def coloured(patch: str) -> str:
    """A diff for a terminal; click takes the colours away where it goes elsewhere."""
    text = patch.encode("utf-8", "replace").decode().rstrip("\n")
    if os.environ.get("NO_COLOR"):
        return text
    styles = {"+": {"fg": "green"}, "-": {"fg": "red"}, "@": {"fg": "cyan"}}
    return "\n".join(click.style(line, bold=True) if line[:4] in ("+++ ", "--- ") else
                     click.style(line, **styles[line[0]]) if line[:1] in styles else line for line in text.split("\n"))


def write_fixes(changed: dict[str, tuple[str, str]], tree, apply_it: bool, yes: bool, branch: str | None, screen: Screen) -> dict:
    """{"applied", "branch", "commit"}: what was done with the fixes, {path: (text before, text now)}."""
    before, after = {p: old for p, (old, _) in changed.items()}, {p: new for p, (_, new) in changed.items()}
    done = {"applied": False, "branch": None, "commit": None}
    if not changed:
        return done
    if apply_it:
        tree.check_unchanged(before)
        if (dirty := tree.dirty(before)) and not yes:
            question = f"{', '.join(dirty)}: there are uncommitted changes, which the fix is made on top of. Write to the work tree?"
            if not sys.stdin.isatty():
                raise UsageError(f"{question} Nobody can be asked here, so nothing was written; --yes says so beforehand.")
            if not click.confirm(question, err=screen.as_json):
                raise UsageError("Nothing was written.")
        tree.write(after)
        screen.say(f"Written: {', '.join(after)}")
        return {**done, "applied": True}
    if branch:
        commit = tree.commit(before, after, branch, f"Mend {', '.join(after)}\n\nWritten by a model, verified by the tests.\n")
        screen.say(f"Branch {branch}: {commit[:10]}")
        return {**done, "branch": branch, "commit": commit}
    screen.say("Nothing was written: --apply writes it to the work tree, --branch NAME commits it beside that.")
    return done


def open_judge(run, screen: Screen):
    from sandbox.repo import restore_snapshot
    from sandbox.verdict import Judge

    restore_snapshot(run.repository)
    return Judge(run.repository, limits_of(run.recipe), memory=run.folder / "verdicts.jsonl", preload=run.survey.modules,
                 test_files=run.survey.test_files, on_note=screen.say)


def announce_jail(screen: Screen) -> None:
    """Say it where the jail is not the one that a person expects."""
    from sandbox.landlock_jail import jail_notice

    if notice := jail_notice():
        screen.say(notice)


def limits_of(recipe):
    from sandbox.verdict import Limits

    return Limits(workers=recipe.judge.workers, timeout=recipe.judge.timeout, memory_mb=recipe.judge.memory_mb,
                  recheck=recipe.judge.recheck)


def read_input(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers; nothing is imported for it."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("torch", "transformers", "peft", "bitsandbytes", "unsloth", "llama-cpp-python"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def step_time(run, name: str):
    """Add the time of the block to the run's account of seconds."""
    started = time.monotonic()
    try:
        yield
    finally:
        run.add_seconds(name, time.monotonic() - started)


if __name__ == "__main__":
    cli()
