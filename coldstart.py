#!/usr/bin/env python3
"""coldstart: turns your own repository into a gym for a small local coding model.

    python coldstart.py demo practice                      # a practice repository to try it on
    python coldstart.py bootstrap --repo practice          # past the cold start, with a teacher
    python coldstart.py climb  # REINFORCE on the repository's own tests; no teacher any more
    python coldstart.py fix  # what the student is for: tests that fail now
    python coldstart.py  # where the latest run stands, and what is next

Reinforcement learning needs rollouts that succeeded: a task the model never solves gives a zero
gradient. So `bootstrap` 1. mines tasks from the repository's tests, 2. probes which the student
never solves (cold), 3. asks a teacher for those only, and keeps what the tests verify, 4.
fine-tunes the student on it and probes again. `climb` 5. goes on from there on the student's own
rollouts, and 6. needs no teacher, no key and no network.

Exit codes: 0 done, 1 the answer is no (not resolved, still cold, not solved), 2 bad usage or input,
3 the harness or the machine failed, 130 interrupted. `--json` prints one JSON object as the last
line of standard output; progress goes to standard error.
"""

import atexit
import functools
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recipes import bootstrap as bootstrapping
from recipes import climb as climbing
from recipes import evaluate as evaluating
from recipes import phases
from recipes import selfdistil as selfdistilling
from recipes.evaluate import EvalOptions
from recipes.events import Note
from recipes.exports.folder import TARGETS
from recipes.exports.options import ExportOptions
from recipes.fixing.options import FixOptions
from recipes.judging import EditSource, judge_edit
from recipes.mining import mine_tasks
from recipes.reporting import tables
from recipes.reporting.terminal import (
    INTERRUPTED,
    Screen,
    coloured,
    error_in_words,
    fitting,
    nobody_reads,
    refuse_watching,
    say_finishing,
)
from recipes.runfolder.opening import (
    RUNS,
    RunOptions,
    announce_jail,
    continue_or_start,
    find_run,
    versions,
)
from recipes.runfolder.taking_up import changes_in_words
from recipes.selfdistil import SelfDistilOptions
from recipes.session import Session, open_judge
from recipes.shutdown import GracefulShutdown, Interruption
from sandbox.errors import HarnessError, UsageError
from sandbox.jsonl import valid, write_aside
from sandbox.tasks.kinds import KINDS

if TYPE_CHECKING:  # what `--help` need not load
    from recipes.runfolder.run import Run
    from recipes.teachers.options import Hired

Command = Callable[..., Any]
PATH = click.Path(path_type=Path)

interruption = Interruption()


# ==================================================================================================
# the command line


class Commands(click.Group):
    """A click group whose errors are sentences with the right exit code."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError) and nobody_reads():
                raise  # click ends it without a word
            # Once interrupted, it is that whatever a library makes of it.
            if interruption.began is not None or isinstance(error, KeyboardInterrupt):
                code, text = 130, INTERRUPTED
            elif isinstance(error, (UsageError, HarnessError, OSError)):
                code, text = error_in_words(error)
            else:
                raise
            if os.environ.get("COLDSTART_TRACEBACK"):
                import traceback

                traceback.print_exc()
            # It ends now in any case, and with the right exit code.
            if signal.getsignal(signal.SIGINT) == interruption.hear:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        click.echo(fitting(f"coldstart: {valid(text)}", sys.stderr), err=True)
        context.exit(code)


def open_screen(as_json: bool, verbose: bool = False) -> Screen:
    """What a person sees of a command."""
    screen = Screen(as_json, click.echo, verbose)
    if context := click.get_current_context(silent=True):
        context.call_on_close(screen.end_bar)  # before an error is put into words
    return screen


@contextmanager
def at_work(run: "Run", screen: Screen, hired: "Hired | None" = None) -> Iterator[Session]:
    """The student at work on a run, until Ctrl-C or the end."""

    def stopping() -> GracefulShutdown:
        return GracefulShutdown(interruption, say_finishing)

    with open_judge(run, screen.emit) as judge:
        yield Session(run, judge, screen.emit, hired, stopping)


def say_outcome(screen: Screen, run: "Run", probe: str) -> dict:
    """Say in sentences what a run has come to; returns it as data."""
    from recipes.reporting import outcome

    screen.say_first(outcome.sentence(run, probe))
    screen.say_lines(outcome.details(run, probe))
    return outcome.outcome(run, probe)


def confirm(as_json: bool, question: str, done: str) -> None:
    """Ask a person before something is `done`. Raises UsageError where the answer is no, or there
    is nobody to be asked."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"{question} Nobody can be asked here, so nothing was {done}; --yes says so beforehand."
        )
    if not click.confirm(question, err=as_json):
        raise UsageError(f"Nothing was {done}.")


def group(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order in which --help lists them."""
    return lambda command: functools.reduce(lambda made, add: add(made), reversed(options), command)


def collected(kind: type) -> Callable[[Command], Command]:
    """Hand a command those of its parameters that are fields of this dataclass as one,
    `options`."""
    names = [field.name for field in fields(kind)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def collecting(*args, **given):
            options = kind(**{name: given.pop(name) for name in names})
            return command(*args, options=options, **given)

        return collecting

    return decorate


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.pass_context
def cli(context) -> None:
    """Turn your own repository into a gym for a small local coding model.

    Without a command: where the latest run stands, and what to do next."""
    from recipes.teachers.endpoint import take_keys

    # First of all, so that no process started from here inherits a teacher's key.
    context.obj = take_keys()
    # Before torch is imported: freed memory can then serve pieces of any size, which fills a small
    # card to the brim.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    if context.invoked_subcommand is None:
        from recipes.reporting.home import home_lines

        open_screen(as_json=False).say_lines(home_lines(RUNS))


run_option = click.option(
    "--run", "run_folder", type=PATH, help="The run's folder. [default: runs/latest]"
)
checkpoint_option = click.option(
    "--checkpoint",
    default="best",
    show_default=True,
    help="Which one: best, last, distilled, a name in RUN/checkpoints, or the folder of an adapter "
    "that PEFT wrote, of this student trained elsewhere.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object as the last line of standard output."
)
verbose_option = click.option(
    "--verbose",
    is_flag=True,
    help="On a terminal, too, say everything in full, and when each step has ended.",
)
recipe_options = group(
    click.option("--new", is_flag=True, help="Start a new run even where one could be continued."),
    click.option(
        "--seed", type=int, help="All randomness flows from this. [default: the recipe's]"
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one setting, as in climb.cycles=20.",
    ),
    click.option(
        "--recipe",
        default="auto",
        show_default=True,
        help="A name in recipes/ or the path of a TOML file.",
    ),
    click.option(
        "--python",
        multiple=True,
        help="The project's interpreter. [default: its .venv, venv, $VIRTUAL_ENV, else this one]",
    ),
    click.option(
        "--repo",
        "repos",
        type=PATH,
        multiple=True,
        help="The repository to learn from (a git work tree with pytest tests). Given several "
        "times: one student learns from all of them.",
    ),
    click.option(
        "--from",
        "from_run",
        type=PATH,
        metavar="RUN",
        help="An earlier run of the repository, which has moved on since: begin with its student, "
        "its held-out functions, and what it measured of the tasks that are the same.",
    ),
    click.option(
        "--kinds",
        help=f"What kinds of task, as in {','.join(KINDS)}: "
        + "; ".join(f"{kind}: {wrong}" for kind, wrong in KINDS.items())
        + ". [default: the recipe's]",
    ),
    click.option(
        "--since", metavar="DATE", help="For revert: only commits since this day, as in 2025-01-31."
    ),
    click.option(
        "--limit", type=click.IntRange(min=0), help="At most this many tasks of each repository."
    ),
)
teacher_options = group(
    click.option(
        "--teacher",
        metavar="NAME|URL|command:CMD|folder:DIR|gguf:PATH|sessions:DIR",
        help="A name in recipes/teachers.toml, or the URL of an endpoint that speaks the OpenAI "
        "chat-completions protocol (its key: in COLDSTART_TEACHER_KEY); a program that is given "
        "the prompt and writes the reply; a folder in which you paste replies, to "
        "INSTANCE_ID.txt; a GGUF file, run by llama.cpp; a folder of old sessions of coding "
        "agents. [default: reference]",
    ),
    click.option(
        "--teacher-model",
        "model",
        help="The model that answers. [default: as in recipes/teachers.toml]",
    ),
    click.option(
        "--price",
        metavar="IN,OUT",
        help="US dollars per million tokens, or IN,CACHED,OUT. [default: as in "
        "recipes/teachers.toml]",
    ),
    click.option(
        "--max-usd",
        type=click.FloatRange(min=0),
        help="What the teacher may cost in this run, in all. [default: 1.00]",
    ),
    click.option(
        "--max-requests",
        type=click.IntRange(min=1),
        help="How often the teacher may be asked in this run, in all. [default of command: 100]",
    ),
    click.option(
        "--terms-acknowledged",
        is_flag=True,
        help="You know whether the provider's terms allow training on what its model writes.",
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Stop before the teacher is asked: say what would be sent and its cost; write the "
        "prompts to RUN/prompts.",
    ),
)


# ==================================================================================================
# commands


@cli.command()
@click.argument("folder", type=PATH)
@click.option(
    "--part",
    type=click.Choice(("all", "easy", "harder")),
    default="all",
    show_default=True,
    help="easy: small functions of one line; harder: code as people write it, with state and "
    "rules.",
)
def demo(folder: Path, part: str) -> None:
    """Write a practice repository with tests into FOLDER."""
    from sandbox.practice import write_practice_repository

    write_practice_repository(folder, part)
    open_screen(as_json=False).say_lines(
        [
            f"A practice repository is in {folder}. Next:",
            f"  python coldstart.py bootstrap --repo {folder}",
        ]
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

    screen, checks, system = open_screen(as_json), [], doctor.this_system()
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

    screen, deleted = open_screen(as_json), {}
    facts = cache.facts()
    if empty_it or empty_replies:
        if not yes:
            confirm(as_json, cache.question(facts, empty_it, empty_replies), "deleted")
        done = cache.empty(empty_it, empty_replies)
        screen.say_facts(cache.deleted_lines(done))
        facts, deleted = cache.facts(), done.to_dict()
    screen.say_facts(cache.lines(facts))
    screen.result({**facts, **deleted})


@cli.command()
@recipe_options
@click.option(
    "--prompts",
    "prompts_folder",
    type=PATH,
    metavar="DIR",
    help="Also write what the student would be shown of each task to DIR/INSTANCE_ID.txt.",
)
@run_option
@verbose_option
@json_option
@collected(RunOptions)
def tasks(options: RunOptions, prompts_folder, verbose, as_json) -> None:
    """Mine tasks from a repository and list them."""
    from recipes.exports.prompts import prompt_facts, write_prompts

    screen, built, facts = open_screen(as_json, verbose), None, {}
    with continue_or_start(options, screen.emit) as run:
        mine_tasks(run, screen.emit)
        screen.say_facts(tables.task_lines(run))
        if prompts_folder is not None:
            built = write_prompts(run, prompts_folder, screen.emit)
            facts = {"prompts": prompt_facts(run, prompts_folder, built)}
        screen.result({**tables.mined_facts(run, built), **facts, "run": str(run.folder)})


@cli.command()
@click.argument("task")
@run_option
@click.option(
    "--overlay", type=PATH, help="A folder of files that replace those of the broken state."
)
@click.option("--patch", type=PATH, help="A unified diff against the broken state.")
@click.option("--reply", type=PATH, help="A reply as a model writes it.")
@json_option
@collected(EditSource)
def judge(options: EditSource, task, run_folder, as_json) -> None:
    """Judge an edit to TASK in the jail: exit code 0 if it is resolved, 1 if not."""
    screen = open_screen(as_json)
    options.check()
    verdict = judge_edit(find_run(run_folder), task, options, screen.emit)
    screen.say(f"{verdict.status}: {verdict.reason}")
    screen.result(verdict.to_dict())
    raise SystemExit(0 if verdict.status == "resolved" else 1)


@cli.command()
@recipe_options
@teacher_options
@run_option
@verbose_option
@json_option
@click.pass_obj
@collected(RunOptions)
def bootstrap(keys, options: RunOptions, verbose, as_json, **teacher) -> None:
    """Get the student past the cold start: mine, probe, teach the cold tasks, fine-tune, probe
    again."""
    from recipes.teachers.options import TeacherOptions, hire_teacher

    screen = open_screen(as_json, verbose)
    with continue_or_start(options, screen.emit) as run:
        hired = hire_teacher(run, keys, TeacherOptions(**teacher))
        mine_tasks(run, screen.emit)  # 1. tasks from the repository's own tests
        with at_work(run, screen, hired) as session:
            result = bootstrapping.bootstrap(session, teacher["dry_run"])  # 2. to 4.
        before, after = result["probe"]["before"], result["probe"].get("after")
        if after is not None:
            result["solved"] = say_outcome(screen, run, phases.bootstrapped())
            screen.say_lines(tables.bootstrap_lines(run, before, after, screen.columns))
            screen.say_lines(tables.by_repo_lines(result))
        screen.result(result)
        if after is not None and not bootstrapping.anything_solved(session, phases.bootstrapped()):
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
@click.option("--stage", help="Climb to the end of this stage of the recipe, and no further.")
@click.option(
    "--compare",
    is_flag=True,
    help="After a stage try every way to keep what earlier ones taught, and say which kept most.",
)
@verbose_option
@json_option
@collected(climbing.ClimbOptions)
def climb(options: climbing.ClimbOptions, run_folder, verbose, as_json) -> None:
    """REINFORCE on the repository's own tests: no teacher, no key, no network."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    screen = open_screen(as_json, verbose)
    with find_run(run_folder) as run:
        climbing.check_bootstrapped(run)
        announce_jail(screen.emit)
        if changes := changes_in_words(run):
            screen.emit(Note(changes))
        with at_work(run, screen) as session:
            if not bootstrapping.anything_solved(session, phases.bootstrapped()):
                from recipes.learning.reinforce import cold_start_in_words

                screen.say(cold_start_in_words(len(session.by_split("train")), run.recipe.probe.k))
                raise SystemExit(1)
            # 5. REINFORCE, 6. nobody else is asked
            done = climbing.climb(session, options)
            bootstrapping.probe(session, phases.probe_after(done))
        result = climbing.facts(run, done)
        result["solved"] = say_outcome(screen, run, phases.probe_after(done))
        before, after = result["probe"]["before"], result["probe"]["after"]
        screen.say_lines(tables.climb_lines(run, before, after, screen.columns))
        screen.say_lines(tables.by_repo_lines(result))
        screen.result(result)


@cli.command()
@run_option
@click.option(
    "--teacher-checkpoint",
    default="distilled",
    show_default=True,
    help="Whom it learns from: best, last, distilled, or a name in RUN/checkpoints.",
)
@click.option(
    "--checkpoint",
    default="last",
    show_default=True,
    help="Who learns: best, last, or a name in RUN/checkpoints. The run then goes on from it.",
)
@click.option("--steps", type=click.IntRange(min=1), help="In all. [default: the recipe's]")
@verbose_option
@json_option
@collected(SelfDistilOptions)
def selfdistil(options: SelfDistilOptions, run_folder, verbose, as_json) -> None:
    """Draw the student back towards an earlier checkpoint of its own, on what it writes to the
    prompts of the training tasks: no verdict is asked. climb goes on from there."""
    from recipes.reporting import status

    os.environ["HF_HUB_OFFLINE"] = "1"
    screen = open_screen(as_json, verbose)
    with find_run(run_folder) as run:
        climbing.check_bootstrapped(run)
        if run.recipe.student.turns > 1:  # what is said between two turns comes of a jail
            announce_jail(screen.emit)
        with at_work(run, screen) as session:
            begun = selfdistilling.selfdistil(session, options)
    screen.say(f"{begun}. {status.run_facts(run)['next']}")
    screen.result(selfdistilling.facts(run, begun))


@cli.command()
@run_option
@click.option(
    "--watch",
    "watched",
    is_flag=True,
    help="Draw it anew every few seconds, until Ctrl-C: beside a command that is at work.",
)
@json_option
def status(run_folder, watched, as_json) -> None:
    """Where the run stands, and what to do next. Works while another command is at work on it,
    too."""
    from recipes.reporting import status

    if watched:
        from recipes.reporting.watch import watch

        refuse_watching(as_json)
        watch(
            lambda columns: status.status_lines(status.run_facts(find_run(run_folder)), columns),
            functools.partial(click.echo, nl=False),
        )
        return
    screen = open_screen(as_json)
    facts = status.run_facts(find_run(run_folder))
    screen.say_facts(status.status_lines(facts, screen.width))
    screen.result(facts)


@cli.command("eval")
@run_option
@checkpoint_option
@click.option(
    "--split",
    type=click.Choice(("heldout", "all", "train")),
    help="Which tasks. [default: heldout; of another run's student all]",
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
    "--student",
    type=PATH,
    metavar="RUN",
    help="Measure the student of this other run on the run's tasks: does it know this code, or "
    "only its own?",
)
@click.option(
    "--new-since",
    type=PATH,
    metavar="RUN",
    help="Measure the student of this earlier run, which the run takes up (--from), on the tasks "
    "whose functions are new since, or have changed: it has seen none of them.",
)
@click.option(
    "--voice",
    is_flag=True,
    help="Also ask it who it is, and count the answers that name a teacher or vendor.",
)
@click.option(
    "--control",
    is_flag=True,
    help="Hold episodes of several turns against as many tokens of single attempts.",
)
@verbose_option
@json_option
@collected(EvalOptions)
def evaluate(options: EvalOptions, run_folder, checkpoint, verbose, as_json) -> None:
    """Measure a checkpoint beside its base, on the same tasks and seeds, and say whether the
    difference is more than chance."""
    from recipes.reporting import evaluation

    os.environ["HF_HUB_OFFLINE"] = "1"
    run, screen = find_run(run_folder), open_screen(as_json, verbose)
    sampling = options.sampling(run.recipe)
    owner = evaluating.owner_of(run, options)
    with owner.keep(checkpoint) as folder:
        name = folder.name
        announce_jail(screen.emit)
        with at_work(run, screen) as session:
            measured = evaluating.evaluate(session, folder, options, sampling)
    if new := measured.get("new_since"):
        screen.say(
            f"Tasks of {new['functions']} functions that are new since {new['run']} or have "
            "changed: its student has seen none of them."
        )
    screen.say_facts(evaluation.comparison_lines(measured, name, screen.width))
    screen.result({"run": str(run.folder), "checkpoint": name, **measured})


@cli.command()
@click.argument("names", nargs=-1, metavar="[NODE_ID]...")
@click.option("--repo", type=PATH, help="Whose tests fail. [default: the run's repository]")
@run_option
@click.option(
    "--checkpoint",
    default="best",
    show_default=True,
    help="Who writes: best, last, distilled, a name in RUN/checkpoints, or a folder as for eval.",
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
@verbose_option
@json_option
@collected(FixOptions)
def fix(options: FixOptions, run_folder, checkpoint, verbose, as_json) -> None:
    """Mend tests that fail now (all, or those of NODE_ID: a test, a class, a file) with the
    student: exit code 1 if one is left.

    Without --apply and --branch the repository is only read."""
    from recipes import fix
    from recipes.fixing.words import lines, summary_lines

    os.environ["HF_HUB_OFFLINE"] = "1"
    screen, outcomes = open_screen(as_json, verbose), []
    options.check()
    run = find_run(run_folder)
    with run.keep(checkpoint) as folder:
        search = fix.open_search(run, folder, options, screen.emit)
        for outcome in search.outcomes():
            outcomes.append(outcome)
            screen.end_bar()  # the search for this one is over, however few edits it took
            screen.say_lines(lines(outcome, screen.width))
            if outcome.best is not None:
                screen.say_as_it_is(coloured(outcome.best.patch))
    screen.say_lines(summary_lines(search))
    tree, ask = fix.work_tree_of(search), functools.partial(confirm, as_json)
    written = fix.write_fixes(search.changed, tree, options, ask, screen.emit)
    screen.result({**fix.facts(run, folder.name, search, outcomes), **written})
    raise SystemExit(1 if search.left else 0)


@cli.command()
@run_option
@json_option
def report(run_folder, as_json) -> None:
    """Write RUN/report.html: the whole run on one page that needs nothing but itself."""
    run, screen = find_run(run_folder), open_screen(as_json)
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
@click.option("--to", "target", type=click.Choice(TARGETS), required=True, help="What to write.")
@run_option
@checkpoint_option
@click.option(
    "--out", type=PATH, help="The folder to write. [default: RUN/export/TARGET-CHECKPOINT]"
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
@verbose_option
@json_option
@collected(ExportOptions)
def export(options: ExportOptions, run_folder, verbose, as_json) -> None:
    """Take the student, or the tasks, out of a run: exit code 1 if an exported model falls short of
    its checkpoint.

    ollama, gguf and peft hold the student, dataset the tasks; verifiers holds tasks and verdict as
    an environment for other trainers, and trl tasks, verdict and student, to train on with TRL on
    several cards."""
    from recipes.export import export

    os.environ["HF_HUB_OFFLINE"] = "1"
    run, screen = find_run(run_folder), open_screen(as_json, verbose)
    exported = export(run, options, screen.emit)
    screen.say_facts(exported.lines())
    screen.result({"run": str(run.folder), "to": options.target, **exported.to_dict()})
    raise SystemExit(1 if exported.is_lost else 0)


@cli.command()
@run_option
@json_option
def teacher(run_folder, as_json) -> None:
    """What API teachers were asked in a run and what it cost, by model and task; and in the runs
    beside it."""
    from recipes.reporting.thawed import thawed_facts, thawed_lines
    from recipes.teachers.ledger import read_summary, spend_lines

    run = find_run(run_folder)
    screen = open_screen(as_json)
    spent = read_summary(run.folder)
    by_run = {
        ledger.parent.name: read_summary(ledger.parent)
        for ledger in sorted(run.folder.resolve().parent.glob("*/teacher.sqlite"))
        if not ledger.parent.is_symlink()
    }
    thawed = thawed_facts(run)
    screen.say("\n".join([*spend_lines(str(run.folder), spent, by_run), *thawed_lines(thawed)]))
    totals = {
        name: {key: value for key, value in sums.items() if not key.startswith("by_")}
        for name, sums in by_run.items()
    }
    price = thawed and thawed["usd_per_thawed"]
    facts = {"usd_per_thawed": price, "thawed": thawed}
    screen.result({"run": str(run.folder), **spent, **facts, "by_run": totals})


def _collect_seldom() -> None:
    """Look for garbage less often, and not at the end: among the many objects of torch and
    transformers that takes a third of the processor time that it costs to import them and to end
    (`tests/bench_startup.py`)."""
    gc.set_threshold(20_000, 10, 10)
    atexit.register(gc.freeze)


if __name__ == "__main__":
    _collect_seldom()
    # A shell that started it in the background wants it left alone.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interruption.hear)
    cli()
