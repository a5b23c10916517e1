#!/usr/bin/env python3
"""coldstart: turns your own repository into a gym for a small local coding model.

    python coldstart.py demo practice                      # a practice repository to try it on
    python coldstart.py bootstrap --repo practice          # past the cold start, with a teacher
    python coldstart.py climb  # REINFORCE on the repository's own tests; no teacher any more
    python coldstart.py fix  # what the student is for: tests that fail now

Reinforcement learning needs rollouts that succeeded: a task the model never solves gives a zero
gradient. So `bootstrap` 1. mines tasks from the repository's tests, 2. probes which the student
never solves (cold), 3. asks a teacher for those only, and keeps what the tests verify, 4.
fine-tunes the student on it and probes again. `climb` 5. goes on from there on the student's own
rollouts, and 6. needs no teacher, no key and no network.

Exit codes: 0 done, 1 the answer is no (not resolved, still cold, not solved), 2 bad usage or input,
3 the harness or the machine failed, 130 interrupted. `--json` prints one JSON object as the last
line of standard output; progress goes to standard error.
"""

import json
import os
import select
import shutil
import signal
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import click

from recipes import climb as climbing
from recipes import evaluate as evaluating
from recipes import stages
from recipes.bootstrap import anything_solved, mine_tasks, probe, take
from recipes.exports import folder as exporting
from recipes.exports.replay import export_model
from recipes.reporting import tables
from recipes.session import Session, limits_of, open_judge
from recipes.teachers import teach as teaching
from sandbox.errors import HarnessError, UsageError
from sandbox.jsonl import valid, write_aside
from sandbox.tasks import prompts
from sandbox.tasks.kinds import KINDS

BAR = "{desc} {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left |{bar}|"
"""Of progress, for tqdm: what does not fit a narrow terminal is the end."""
INTERRUPTED = "Interrupted. What was done is kept; give the same command again to go on."
GRACE = 10.0
"""Seconds in which an interrupted command may end undisturbed."""


# ==================================================================================================
# the command line


class Screen:
    """What a person sees: sentences on standard output, one progress bar on standard error, none of
    it where a machine reads."""

    def __init__(self, as_json: bool) -> None:
        self.as_json, self._bar, self._what = as_json, None, None
        if context := click.get_current_context(silent=True):
            context.call_on_close(self.end_bar)  # before an error is put into words

    def say(self, text: str = "") -> None:
        if self._bar is not None:
            self._bar.clear()
        click.echo(valid(text), err=self.as_json)
        if self._bar is not None:
            self._bar.refresh()

    @property
    def width(self) -> int:
        """Columns that a text may take."""
        return min(200, max(60, shutil.get_terminal_size().columns))

    def say_facts(self, lines: list[str]) -> None:
        """What a command was asked for, where no machine reads: beside JSON it would be said twice."""
        if not self.as_json:
            self.say("\n".join(lines))

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done. Silent where standard error is no
        terminal. The rate and the time that is left go by the steps since this was first called for
        `what`: what was done before a run was cut off took no time of this one."""
        from tqdm import tqdm

        if self._what != what:
            self.end_bar()
            self._bar, self._what = (
                tqdm(
                    total=total,
                    initial=done,
                    desc=what,
                    leave=False,
                    smoothing=0,
                    dynamic_ncols=True,
                    bar_format=BAR,
                    disable=not sys.stderr.isatty(),
                ),
                what,
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.end_bar()

    def end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = self._what = None

    @staticmethod
    def patience() -> "Patience":
        return Patience()

    def result(self, record: dict) -> None:
        """The last line for machines."""
        self.end_bar()
        if self.as_json:
            click.echo(json.dumps(valid(record)))


class Interruption:
    """Ctrl-C where nothing can be finished first. What ends because of it has GRACE seconds in
    which another one does not cut it off; later ones are heard, for a library may have kept the
    KeyboardInterrupt to itself."""

    def __init__(self) -> None:
        self.began = None

    def hear(self, *_) -> None:
        if self.began is None or time.monotonic() > self.began + GRACE:
            self.begin()

    def begin(self) -> None:
        self.began = time.monotonic()
        raise KeyboardInterrupt


interruption = Interruption()


class Patience:
    """While a loop is at work that can stop between two steps: the first Ctrl-C lets it finish the
    step that it is at, the second stops it at once.

        with Patience() as patience:
            for ...:
                ...                                # a step, and its record on the disk
                patience.check()                   # raises KeyboardInterrupt where it was asked for
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "Patience":
        self._before = signal.getsignal(signal.SIGINT)
        if (
            self._before is not signal.SIG_IGN
        ):  # a shell that started it in the background wants it left alone
            signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, kind, *_) -> None:
        signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self.check()

    @property
    def requested(self) -> bool:
        return self.asked

    def check(self) -> None:
        if self.asked:
            interruption.begin()

    def _hear(self, *_) -> None:
        if self.asked:
            return interruption.hear()
        self.asked = True
        with suppress(OSError):  # not through Python's streams: they may be in the middle of a line
            os.write(2, b"\nFinishing this step; Ctrl-C again stops now.\n")


def nobody_reads() -> bool:
    """Whether our own standard output or error is a pipe that nobody reads any more. A pipe to a
    program that we have started can break, too, and then there is somebody to be told."""
    ends = select.poll()
    for stream in (1, 2):
        ends.register(stream, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in ends.poll(0))


class Commands(click.Group):
    """A click group whose errors are sentences with the right exit code."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError) and nobody_reads():
                raise  # click ends it without a word
            # Once interrupted, it is that whatever a library makes of it.
            interrupted = interruption.began is not None or isinstance(error, KeyboardInterrupt)
            if not interrupted and not isinstance(error, (UsageError, HarnessError, OSError)):
                raise
            if os.environ.get("COLDSTART_TRACEBACK"):
                import traceback

                traceback.print_exc()
            if (
                signal.getsignal(signal.SIGINT) == interruption.hear
            ):  # it ends now in any case, and with the right exit code
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            code, text = (130, INTERRUPTED) if interrupted else self._in_words(error)
        click.echo(f"coldstart: {valid(text)}", err=True)
        context.exit(code)

    @staticmethod
    def _in_words(error: UsageError | HarnessError | OSError) -> tuple[int, str]:
        if isinstance(error, UsageError):
            return 2, str(error)
        if isinstance(error, HarnessError):
            return 3, f"The harness failed, and nothing was judged by it: {error}"
        if isinstance(error, BrokenPipeError):
            return 3, (
                "A program that this one had started ended before its time (broken pipe). "
                "What was done is kept; give the same command again."
            )
        return (
            2,
            f"{error.filename or 'The disk'}: {error.strerror}. What was done is kept; give the "
            "same command again.",
        )


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.pass_context
def cli(context) -> None:
    """Turn your own repository into a gym for a small local coding model."""
    from recipes.teachers.endpoint import take_keys

    context.obj = (
        take_keys()
    )  # first of all, so that no process started from here inherits a teacher's key
    # Before torch is imported: freed memory can then serve pieces of any size, which fills a small
    # card to the brim.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")


def run_option(function):
    return click.option(
        "--run",
        "run_folder",
        type=click.Path(path_type=Path),
        help="The run's folder. [default: runs/latest]",
    )(function)


def json_option(function):
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="One JSON object as the last line of standard output.",
    )(function)


def new_run_options(function):
    for option in (
        click.option(
            "--repo",
            type=click.Path(path_type=Path),
            help="The repository to learn from (a git work tree with pytest tests).",
        ),
        click.option(
            "--python",
            help="The project's interpreter. [default: its .venv, venv, $VIRTUAL_ENV, else this "
            "one]",
        ),
        click.option(
            "--recipe",
            default="auto",
            show_default=True,
            help="A name in recipes/ or the path of a TOML file.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override one setting, as in climb.cycles=20.",
        ),
        click.option(
            "--seed", type=int, help="All randomness flows from this. [default: the recipe's]"
        ),
        click.option(
            "--new", is_flag=True, help="Start a new run even where one could be continued."
        ),
    ):
        function = option(function)
    return function


def task_options(function):
    for option in (
        click.option("--limit", type=click.IntRange(min=0), help="At most this many tasks."),
        click.option(
            "--since",
            metavar="DATE",
            help="For revert: only commits since this day, as in 2025-01-31.",
        ),
        click.option(
            "--kinds",
            help=f"What kinds of task, as in {','.join(KINDS)}: "
            + "; ".join(f"{kind}: {wrong}" for kind, wrong in KINDS.items())
            + ". [default: the recipe's]",
        ),
    ):
        function = option(function)
    return function


def with_task_options(
    overrides: tuple[str, ...], kinds: str | None, since: str | None, limit: int | None
) -> tuple[str, ...]:
    """--kinds, --since and --limit, as --set has them."""
    named = {
        "limit": limit,
        "since": since and json.dumps(since),
        "kinds": kinds and json.dumps([k.strip() for k in kinds.split(",")]),
    }
    return (
        *overrides,
        *(f"tasks.{key}={value}" for key, value in named.items() if value is not None),
    )


def teacher_options(function):
    for option in (
        click.option(
            "--dry-run",
            is_flag=True,
            help="Stop before the teacher is asked: say what would be sent and its cost; write the "
            "prompts to RUN/prompts.",
        ),
        click.option(
            "--terms-acknowledged",
            is_flag=True,
            help="You know whether the provider's terms allow training on what its model writes.",
        ),
        click.option(
            "--max-usd",
            type=click.FloatRange(min=0),
            help="What the teacher may cost in this run, in all. [default: 1.00]",
        ),
        click.option(
            "--price",
            metavar="IN,OUT",
            help="US dollars per million tokens, or IN,CACHED,OUT. [default: as in "
            "recipes/teachers.toml]",
        ),
        click.option(
            "--teacher-model", help="The model that answers. [default: as in recipes/teachers.toml]"
        ),
        click.option(
            "--teacher",
            metavar="NAME|URL",
            help="A name in recipes/teachers.toml, or the URL of an endpoint that speaks the "
            "OpenAI chat-completions protocol. "
            "Its key: in COLDSTART_TEACHER_KEY. [default: reference]",
        ),
    ):
        function = option(function)
    return function


# ==================================================================================================
# commands


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def demo(folder: Path) -> None:
    """Write a practice repository with tests into FOLDER."""
    from sandbox.practice import write_practice_repository

    write_practice_repository(folder)
    click.echo(
        valid(
            f"A practice repository is in {folder}. Next: python coldstart.py bootstrap "
            f"--repo {folder}"
        )
    )


@cli.command()
@click.option(
    "--teacher",
    metavar="NAME|URL",
    help="Also make one call of one token to this teacher, with the key in COLDSTART_TEACHER_KEY.",
)
@click.option(
    "--teacher-model", help="The model that is to answer. [default: as in recipes/teachers.toml]"
)
@json_option
@click.pass_obj
def doctor(keys, teacher, teacher_model, as_json) -> None:
    """What this machine can do, and the command that mends what it cannot: exit code 1 if the main
    job could not run."""
    from recipes.reporting import doctor

    screen, checks, system = Screen(as_json), [], doctor.this_system()
    for check in doctor.examine(system, Path("runs")):
        checks.append(check)
        screen.say_facts(doctor.check_lines([check], screen.width))
    if teacher:
        from recipes.teachers.endpoint import find_endpoint

        checks.append(doctor.check_teacher(lambda: find_endpoint(teacher, teacher_model), keys))
        screen.say_facts(doctor.check_lines(checks[-1:], screen.width))
    able = doctor.can_run(checks)
    screen.say_facts(
        [
            "",
            "coldstart can run here."
            if able
            else "coldstart can run here, but not with this teacher."
            if doctor.can_run([check for check in checks if check.name != "teacher"])
            else "coldstart cannot run here until what is marked `fault` is mended.",
        ]
    )
    screen.result(
        {
            "able": able,
            "system": system.family,
            "wsl": system.wsl,
            "checks": [check.to_dict() for check in checks],
        }
    )
    raise SystemExit(0 if able else 1)


@cli.command()
@click.option(
    "--empty",
    "empty_it",
    is_flag=True,
    help="Delete all but the replies of API teachers. What another process uses is left.",
)
@click.option(
    "--empty-replies",
    is_flag=True,
    help="Delete the replies of API teachers, which were paid for; nothing else does.",
)
@click.option("--yes", is_flag=True, help="Do not ask before anything is deleted.")
@json_option
def cache(empty_it, empty_replies, yes, as_json) -> None:
    """What is kept between runs, where, and how large it is; or empty it.

    It is pruned by itself where it takes more than COLDSTART_CACHE_GB (20) GiB: what was not used
    for longest goes first."""
    from sandbox import cache

    screen, deleted = Screen(as_json), {}
    found = cache.facts()
    if empty_it or empty_replies:
        if not yes:
            confirm(cache.question(found, empty_it, empty_replies), "deleted", screen)
        done = cache.empty(empty_it, empty_replies)
        screen.say_facts(cache.deleted_lines(done))
        found, deleted = cache.facts(), done.to_dict()
    screen.say_facts(cache.lines(found))
    screen.result({**found, **deleted})


@cli.command()
@new_run_options
@task_options
@click.option(
    "--prompts",
    "prompts_folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write what the student would be shown of each task to DIR/INSTANCE_ID.txt.",
)
@run_option
@json_option
def tasks(
    repo,
    python,
    recipe,
    overrides,
    seed,
    new,
    kinds,
    since,
    limit,
    prompts_folder,
    run_folder,
    as_json,
) -> None:
    """Mine tasks from a repository and list them."""
    screen = Screen(as_json)
    overrides = with_task_options(overrides, kinds, since, limit)
    with continue_or_start(repo, python, recipe, overrides, seed, new, run_folder, screen) as run:
        mine_tasks(run, screen)
        if not as_json:
            screen.say("\n".join(tables.task_lines(run)))
        built, counted = None, {}
        if prompts_folder is not None:
            built = write_prompts(run, prompts_folder, screen)
            counted = {
                "prompts": {
                    "dir": str(prompts_folder),
                    **prompts.summary(list(built.values()), run.recipe.student.max_prompt),
                }
            }
        screen.result({**tables.mined_facts(run, built), **counted, "run": str(run.folder)})


@cli.command()
@click.argument("task")
@run_option
@click.option(
    "--overlay",
    type=click.Path(path_type=Path),
    help="A folder of files that replace those of the broken state.",
)
@click.option(
    "--patch", type=click.Path(path_type=Path), help="A unified diff against the broken state."
)
@click.option("--reply", type=click.Path(path_type=Path), help="A reply as a model writes it.")
@json_option
def judge(task, run_folder, overlay, patch, reply, as_json) -> None:
    """Judge an edit to TASK in the jail: exit code 0 if it is resolved, 1 if not."""
    from sandbox.episode import edit_of
    from sandbox.judge.edits import from_overlay, from_patch
    from sandbox.judge.gate import InvalidEdit
    from sandbox.repo import restore_snapshot

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
            edit = from_patch(read_input(patch), broken, run.repository.snapshot)
        else:
            tree, style = run.repository.snapshot, run.recipe.prompt.style
            edit = edit_of(read_input(reply), chosen, tree, style)
    except InvalidEdit as error:
        edit = error
    with open_judge(run, screen) as judge:
        verdict = judge.judge(chosen, edit)
    screen.say(f"{verdict.status}: {verdict.reason}")
    screen.result(verdict.to_dict())
    raise SystemExit(0 if verdict.status == "resolved" else 1)


@cli.command()
@new_run_options
@task_options
@teacher_options
@run_option
@json_option
@click.pass_obj
def bootstrap(
    keys,
    repo,
    python,
    recipe,
    overrides,
    seed,
    new,
    kinds,
    since,
    limit,
    teacher,
    teacher_model,
    price,
    max_usd,
    terms_acknowledged,
    dry_run,
    run_folder,
    as_json,
) -> None:
    """Get the student past the cold start: mine, probe, teach the cold tasks, fine-tune, probe
    again."""
    from recipes.teachers.options import TeacherOptions, hire_teacher

    screen, overrides = Screen(as_json), with_task_options(overrides, kinds, since, limit)
    with continue_or_start(repo, python, recipe, overrides, seed, new, run_folder, screen) as run:
        options = TeacherOptions(
            teacher, teacher_model, price, max_usd, terms_acknowledged, dry_run
        )
        hired = hire_teacher(run, keys, options)
        mine_tasks(run, screen)  # 1. tasks from the repository's own tests
        with open_judge(run, screen) as judge:
            session = Session(run, judge, screen, hired)
            # 2. which does the student never solve? 3. a teacher for the cold ones only, 4. until
            # the student solves some itself
            for stage in stages.left(run.content["done"]):
                if dry_run and stage is stages.TEACH:
                    screen.result(
                        {
                            "run": str(run.folder),
                            "recipe": run.recipe.name,
                            "student": run.recipe.student.model,
                            "teacher": teaching.dry_run(session),
                            "probe": {"before": tables.probe_summary(run, stages.BEFORE.name)},
                            "prompts": run.content["prompts"],
                            "seconds": run.content["seconds"],
                        }
                    )
                    return
                take(session, stage)
        before, after = (
            tables.probe_summary(run, stages.BEFORE.name),
            tables.probe_summary(run, stages.bootstrapped()),
        )
        screen.say("\n".join(tables.bootstrap_lines(run, before, after)))
        screen.result(
            {
                "run": str(run.folder),
                "recipe": run.recipe.name,
                "student": run.recipe.student.model,
                "teacher": teaching.teacher_facts(session),
                "probe": {"before": before, "after": after},
                "prompts": run.content.get("prompts"),
                "set_aside": run.set_aside,
                "seconds": run.content["seconds"],
            }
        )
        if not anything_solved(session, stages.bootstrapped()):
            raise SystemExit(1)


@cli.command()
@run_option
@click.option(
    "--cycles",
    type=click.IntRange(min=1),
    help="Climb until the run has so many cycles in all. [default: the recipe's]",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after the cycle in which this time is over.",
)
@json_option
def climb(run_folder, cycles, minutes, as_json) -> None:
    """REINFORCE on the repository's own tests: no teacher, no key, no network."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    screen = Screen(as_json)
    with find_run(run_folder) as run:
        if stages.left(run.content["done"]):
            raise UsageError(
                f"{run.folder} has not been bootstrapped. First: python coldstart.py bootstrap "
                f"--run {run.folder}"
            )
        announce_jail(screen)
        with open_judge(run, screen) as judge:
            session = Session(run, judge, screen)
            if not anything_solved(session, stages.bootstrapped()):
                from recipes.learning.reinforce import cold_start_in_words

                screen.say(cold_start_in_words(len(session.by_split("train")), run.recipe.probe.k))
                raise SystemExit(1)
            done = climbing.climb(
                session, cycles or run.recipe.climb.cycles, minutes
            )  # 5. REINFORCE, 6. nobody else is asked
            phase = stages.probe_after(done)
            probe(session, phase)
        before, after = (
            tables.probe_summary(run, stages.bootstrapped()),
            tables.probe_summary(run, phase),
        )
        screen.say("\n".join(tables.climb_lines(run, before, after)))
        metrics = run.read("metrics.jsonl")
        screen.result(
            {
                "run": str(run.folder),
                "cycles": done,
                "probe": {"before": before, "after": after},
                "zero_variance": {
                    c: sum(m[f"groups/{c}"] for m in metrics)
                    for c in ("cold", "mastered", "truncated")
                },
                "rollouts": sum(m["rollouts"] for m in metrics),
                "alarm": tables.alarm(metrics),
                "set_aside": run.set_aside,
                "best_checkpoint": run.checkpoint("best").name,
                "seconds": run.content["seconds"],
            }
        )


@cli.command()
@run_option
@json_option
def status(run_folder, as_json) -> None:
    """Where the run stands, and what to do next. Works while another command is at work on it, too."""
    from recipes.reporting import status

    screen = Screen(as_json)
    found = status.run_facts(find_run(run_folder))
    screen.say_facts(status.status_lines(found, screen.width))
    screen.result(found)


@cli.command("eval")
@run_option
@click.option(
    "--checkpoint",
    default="best",
    show_default=True,
    help="Which one: best, last, distilled, or a name in RUN/checkpoints.",
)
@click.option(
    "--split",
    type=click.Choice(("heldout", "all", "train")),
    default="heldout",
    show_default=True,
    help="Which tasks.",
)
@click.option(
    "--k", type=click.IntRange(min=1), help="Samples of each task. [default: the recipe's]"
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    help="Of the samples; 0 takes the likeliest. [default: the recipe's]",
)
@click.option(
    "--voice",
    is_flag=True,
    help="Also ask it who it is, and count the answers that name a teacher or vendor.",
)
@json_option
def evaluate(run_folder, checkpoint, split, k, temperature, voice, as_json) -> None:
    """Measure a checkpoint beside its base, on the same tasks and seeds, and say whether the
    difference is more than chance."""
    from recipes.reporting import evaluation

    os.environ["HF_HUB_OFFLINE"] = "1"
    run, screen = find_run(run_folder), Screen(as_json)
    temperature = run.recipe.probe.temperature if temperature is None else temperature
    k = evaluation.samples(k, temperature, run.recipe.probe.k)
    with run.keep(checkpoint) as folder:
        name = folder.name
        announce_jail(screen)
        with open_judge(run, screen) as judge:
            found = evaluating.evaluate(
                Session(run, judge, screen), name, split, k, temperature, voice
            )
    screen.say_facts(evaluation.comparison_lines(found, name, screen.width))
    screen.result({"run": str(run.folder), "checkpoint": name, **found})


@cli.command()
@click.argument("names", nargs=-1, metavar="[NODE_ID]...")
@click.option(
    "--repo",
    type=click.Path(path_type=Path),
    help="Whose tests fail. [default: the run's repository]",
)
@run_option
@click.option(
    "--checkpoint",
    default="best",
    show_default=True,
    help="Who writes: best, last, distilled, or a name in RUN/checkpoints.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Edits of a failing test, at most.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Begin nothing new when this time is over.",
)
@click.option("--apply", "apply_it", is_flag=True, help="Write what was verified to the work tree.")
@click.option(
    "--branch",
    metavar="NAME",
    help="Commit what was verified on a new branch, and leave work tree and index alone.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="With --apply: do not ask before a file is changed that has uncommitted changes.",
)
@json_option
def fix(
    names, repo, run_folder, checkpoint, samples, minutes, apply_it, branch, yes, as_json
) -> None:
    """Mend tests that fail now (all, or those of NODE_ID: a test, a class, a file) with the
    student: exit code 1 if one is left.

    Without --apply and --branch the repository is only read."""
    from recipes import fix
    from sandbox.cache import make_room
    from sandbox.repo import check_jail, open_repository
    from sandbox.worktree import WorkTree

    os.environ["HF_HUB_OFFLINE"] = "1"
    screen = Screen(as_json)
    if apply_it and branch:
        raise UsageError("Give --apply or --branch, not both.")
    run = find_run(run_folder)
    with run.keep(checkpoint) as folder:
        same = repo is None or Path(os.path.abspath(repo)) == Path(run.repository.root)
        repository = open_repository(
            repo or run.repository.root, run.repository.python if same else None
        )
        make_room(screen.say)
        tree = WorkTree(Path(repository.root))
        if branch:
            tree.check_branch(branch)
        if notice := check_jail(repository):
            screen.say(notice)
        announce_tree(
            repository,
            f"{repository.root} has uncommitted changes: the last commit "
            "plus these changes is what is mended.",
            screen,
        )
        search = fix.Search(
            repository,
            limits_of(run.recipe),
            run.recipe,
            names,
            samples,
            minutes and 60 * minutes,
            lambda chats: fix.open_writer(run, folder, chats, screen),
            screen.progress,
            screen.say,
        )
        outcomes = []
        for outcome in search.outcomes():
            outcomes.append(outcome)
            screen.end_bar()  # the search for this one is over, however few edits it took
            screen.say("\n".join(fix.lines(outcome, screen.width)))
            if outcome.best is not None:
                screen.say(coloured(outcome.best.patch))
    screen.say("\n".join(fix.summary_lines(search)))
    written = write_fixes(search.changed, tree, apply_it, yes, branch, screen)
    screen.result(
        {
            "run": str(run.folder),
            "checkpoint": folder.name,
            "repo": repository.root,
            "failing": list(search.failing),
            "left": list(search.left),
            "left_out": search.left_out,
            "outcomes": [o.to_dict() for o in outcomes],
            **written,
        }
    )
    raise SystemExit(1 if search.left else 0)


@cli.command()
@run_option
@json_option
def report(run_folder, as_json) -> None:
    """Write RUN/report.html: the whole run on one page that needs nothing but itself."""
    run, screen = find_run(run_folder), Screen(as_json)
    try:
        from recipes.reporting.report import page
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The report needs {error.name}: pip install -r requirements-cpu.txt"
        ) from None
    file = run.folder / "report.html"
    write_aside(file, valid(page(run, versions())).encode())
    screen.say(f"The report is {file}")
    screen.result({"run": str(run.folder), "report": str(file)})


@cli.command()
@click.option(
    "--to", "target", type=click.Choice(exporting.TARGETS), required=True, help="What to write."
)
@run_option
@click.option(
    "--checkpoint",
    default="best",
    show_default=True,
    help="Which one: best, last, distilled, or a name in RUN/checkpoints.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The folder to write. [default: RUN/export/TARGET-CHECKPOINT]",
)
@click.option(
    "--quantisation",
    type=click.Choice(("q8_0", "q4_k_m")),
    default="q8_0",
    show_default=True,
    help="For gguf.",
)
@click.option(
    "--replay",
    "count",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    help="How many mastered tasks are solved again through an exported model, beside the "
    "checkpoint.",
)
@json_option
def export(target, run_folder, checkpoint, out, quantisation, count, as_json) -> None:
    """Take the student, or the tasks, out of a run: exit code 1 if an exported model falls short of
    its checkpoint."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    run, screen = find_run(run_folder), Screen(as_json)
    with run.keep(checkpoint) if target in exporting.MODEL_TARGETS else nullcontext() as kept:
        name = kept.name if kept else ""
        folder = out or run.folder / "export" / "-".join(filter(None, (target, name)))
        exporting.refuse_taken(folder)
        if name:
            announce_jail(screen)
            with open_judge(run, screen) as judge, exporting.new_folder(folder) as aside:
                found = export_model(
                    Session(run, judge, screen), target, name, aside, quantisation, count
                )
        else:
            found = None
            with exporting.new_folder(folder) as aside:
                export_tasks(run, target, aside, screen)
    screen.say_facts(
        [f"Exported to {folder}: {', '.join(sorted(p.name for p in folder.iterdir()))}"]
    )
    if name:
        screen.say_facts(exporting.lines(found))
    screen.result(
        {
            "run": str(run.folder),
            "to": target,
            "checkpoint": name or None,
            "out": str(folder),
            "files": sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()),
            "replay": found,
        }
    )
    raise SystemExit(1 if found and found["lost"] else 0)


@cli.command()
@run_option
@json_option
def teacher(run_folder, as_json) -> None:
    """What API teachers were asked in a run and what it cost, by model and task; and in the runs
    beside it."""
    from recipes.teachers.ledger import read_summary, spend_lines

    run = find_run(run_folder)
    screen = Screen(as_json)
    found = read_summary(run.folder)
    by_run = {
        ledger.parent.name: read_summary(ledger.parent)
        for ledger in sorted(run.folder.resolve().parent.glob("*/teacher.sqlite"))
        if not ledger.parent.is_symlink()
    }
    screen.say("\n".join(spend_lines(str(run.folder), found, by_run)))
    totals = {
        name: {key: value for key, value in sums.items() if not key.startswith("by_")}
        for name, sums in by_run.items()
    }
    screen.result({"run": str(run.folder), **found, "by_run": totals})


# ==================================================================================================
# the steps


def write_prompts(run, folder: Path, screen: Screen) -> dict:
    """What the student would be shown of each task, as files in `folder`: {instance_id: Prompt, or
    None where it does not fit}."""
    from recipes.learning.tokens import budget_of
    from sandbox.repo import restore_snapshot

    restore_snapshot(run.repository)
    budget, note = budget_of(run.recipe)
    if note:
        screen.say(note)
    folder.mkdir(parents=True, exist_ok=True)
    built = {}
    for task in run.tasks:
        prompt = built[task.instance_id] = prompts.build(
            task, run.repository.snapshot, run.recipe.prompt.style, budget
        )
        screen.progress("building prompts", len(built), len(run.tasks))
        if prompt:
            text = "\n\n".join(message["content"] for message in prompt.messages)
            (folder / f"{task.instance_id}.txt").write_text(text, encoding="utf-8")
    screen.say(
        prompts.extents_in_words(list(built.values()), budget.tokens) + f" They are in {folder}."
    )
    return built


def export_tasks(run, target: str, folder: Path, screen: Screen) -> None:
    """Write the tasks of a run to `folder`, as data or as an environment."""
    from sandbox.cache import make_room
    from sandbox.repo import restore_snapshot

    restore_snapshot(run.repository)
    make_room(screen.say)
    exporting.task_export(target).write(run, run.repository.snapshot, folder)


# ==================================================================================================
# runs


@contextmanager
def continue_or_start(repo, python, recipe_name, overrides, seed, new, run_folder, screen: Screen):
    """The run that a command works on, locked: the one that was named, the latest one of the same
    repository and recipe, or a new one."""
    from recipes.runfolder.run import Run
    from recipes.settings import load
    from sandbox.cache import make_room
    from sandbox.repo import check_jail, open_repository, restore_snapshot

    def settings():
        return load(recipe_name, [*overrides, *([f"seed={seed}"] if seed is not None else [])])

    if run_folder is not None and (run_folder / "run.json").exists():
        run = Run.open(run_folder)
        if repo is not None and Path(os.path.abspath(repo)) != Path(run.repository.root):
            raise UsageError(
                f"{run_folder} is a run of {run.repository.root}, not of {repo}. Name another "
                "folder with --run."
            )
        if (recipe_name != "auto" or overrides or seed is not None) and settings() != run.recipe:
            raise UsageError(
                f"{run_folder} was started with another recipe or other settings, and a run keeps "
                "those that it began with. "
                "Leave --recipe, --set and --seed out, or name another folder with --run."
            )
        restore_snapshot(run.repository)
        make_room(screen.say)
        announce_jail(screen)
    else:
        if repo is None:
            raise UsageError("Which repository? Name it with --repo DIR.")
        recipe = settings()
        repository = open_repository(repo, python)
        make_room(screen.say)
        if notice := check_jail(repository):
            screen.say(notice)
        announce_tree(
            repository,
            f"{repo} has uncommitted changes: the last commit plus these "
            "changes is what coldstart sees.",
            screen,
        )
        run = None if new or run_folder is not None else _latest_of(repository, recipe)
        if run is None:
            run = Run.create(
                run_folder or Run.new_folder(Path("runs"), repository),
                repository,
                recipe,
                versions(),
            )
            screen.say(
                f"Run {run.folder}: {repository.root} at {repository.commit[:10]}, its tests run "
                f"by {repository.python} "
                f"(Python {repository.python_version}); recipe {recipe.name}."
            )
        else:
            screen.say(f"Going on with {run.folder}. (--new starts another run.)")
        if run_folder is None:
            run.point_latest_here()
    with run:
        yield run


def _latest_of(repository, recipe):
    """The latest run, where it is of the same tree and recipe and not yet bootstrapped."""
    from recipes.runfolder.run import Run

    if not Path("runs/latest/run.json").exists():
        return None
    run = Run.latest(Path("runs"))
    same = run.repository == repository and run.content["recipe"] == json.loads(
        json.dumps(recipe.to_dict())
    )
    return run if same and stages.left(run.content["done"]) else None


def find_run(folder: Path | None):
    from recipes.runfolder.run import Run

    return Run.latest(Path("runs")) if folder is None else Run.open(folder)


def find_task(run, name: str):
    import difflib

    known = {t.instance_id: t for t in run.tasks}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise UsageError(
            f"{run.folder} has no task {name!r}."
            + (f" Did you mean {' or '.join(near)}?" if near else "")
        )
    return known[name]


def coloured(patch: str) -> str:
    """A diff for a terminal; click takes the colours away where it goes elsewhere."""
    text = patch.rstrip("\n")
    if os.environ.get("NO_COLOR"):
        return text
    styles = {"+": {"fg": "green"}, "-": {"fg": "red"}, "@": {"fg": "cyan"}}
    return "\n".join(
        click.style(line, bold=True)
        if line[:4] in ("+++ ", "--- ")
        else click.style(line, **styles[line[0]])
        if line[:1] in styles
        else line
        for line in text.split("\n")
    )


def write_fixes(
    changed: dict[str, tuple[str, str]],
    tree,
    apply_it: bool,
    yes: bool,
    branch: str | None,
    screen: Screen,
) -> dict:
    """{"applied", "branch", "commit"}: what was done with the fixes, {path: (text before, text
    now)}."""
    before, after = (
        {p: old for p, (old, _) in changed.items()},
        {p: new for p, (_, new) in changed.items()},
    )
    done = {"applied": False, "branch": None, "commit": None}
    if not changed:
        return done
    if apply_it:
        tree.check_unchanged(before)
        if (dirty := tree.dirty(before)) and not yes:
            question = (
                f"{', '.join(dirty)}: there are uncommitted changes, which the fix is made "
                "on top of. Write to the work tree?"
            )
            confirm(question, "written", screen)
        tree.write(after)
        screen.say(f"Written: {', '.join(after)}")
        return {**done, "applied": True}
    if branch:
        commit = tree.commit(
            before,
            after,
            branch,
            f"Mend {', '.join(after)}\n\nWritten by a model, verified by the tests.\n",
        )
        screen.say(f"Branch {branch}: {commit[:10]}")
        return {**done, "branch": branch, "commit": commit}
    screen.say(
        "Nothing was written: --apply writes it to the work tree, --branch NAME commits it beside "
        "that."
    )
    return done


def confirm(question: str, done: str, screen: Screen) -> None:
    """Ask a person before something is `done`. Raises UsageError where the answer is no, or there
    is nobody to be asked."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"{question} Nobody can be asked here, so nothing was {done}; --yes says so beforehand."
        )
    if not click.confirm(question, err=screen.as_json):
        raise UsageError(f"Nothing was {done}.")


def announce_tree(repository, if_dirty: str, screen: Screen) -> None:
    """Say what of the work tree a person might miss, or not expect."""
    if repository.dirty:
        screen.say(if_dirty)
    for note in repository.notes:
        screen.say(note)


def announce_jail(screen: Screen) -> None:
    """Say it where the jail is not the one that a person expects."""
    from sandbox.jail.choice import jail_notice

    if notice := jail_notice():
        screen.say(notice)


def read_input(path: Path) -> str:
    """The text of a person's file."""
    from sandbox.patches import text_of

    try:
        return text_of(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers; nothing is imported for it."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (
        "torch",
        "transformers",
        "peft",
        "bitsandbytes",
        "unsloth",
        "llama-cpp-python",
        "gguf",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):  # a shell that started it in the background wants it left alone
        signal.signal(signal.SIGINT, interruption.hear)
    cli()
