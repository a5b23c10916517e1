"""Events: the sentences of them, who shows them, and that nothing else of `recipes/` talks."""

import ast
import contextlib
import signal
import subprocess
import sys

import pytest

from coldstart import open_screen
from recipes import events, shutdown
from recipes.reporting.terminal import Screen
from tests.conftest import ROOT

SENTENCES = [
    (events.Progress("probing", 3, 40), "probing 3/40"),
    (events.Note("The jail is Landlock's."), "The jail is Landlock's."),
    (
        events.Standing((("3 of 9 cycles", "3/9"), ("hard: reward 0.5", "")), 60.0),
        "3 of 9 cycles, hard: reward 0.5",
    ),
    (
        events.RunStarted("runs/a", "/a", "c0ffee" * 4, "/usr/bin/python3", "3.11.2", "nano"),
        "Run runs/a: /a at c0ffeec0ff, its tests run by /usr/bin/python3 (Python 3.11.2); recipe "
        "nano.",
    ),
    (
        events.RunTakenUp("runs/a", "c0ffee" * 4, "cycle-0010"),
        "It takes up runs/a (at c0ffeec0ff): its student (cycle-0010) and what was measured there of "
        "tasks that are the same today.",
    ),
    (
        events.RunTakenUp("runs/a", "c0ffee" * 4, ""),
        "It takes up runs/a (at c0ffeec0ff): what was measured there of tasks that are the same today.",
    ),
    (events.RunContinued("runs/a"), "Going on with runs/a. (--new starts another run.)"),
    (
        events.UncommittedChanges("a", "coldstart sees"),
        "a has uncommitted changes: the last commit plus these changes is what coldstart sees.",
    ),
    (events.TasksMined(3, 1, {}, {}), "4 tasks mined: 3 for training, 1 held out. "),
    (
        events.TasksMined(3, 1, {"flaky": 2, "slow": 5}, {"flaky": ["a.py::f", "a.py::g"]}),
        "4 tasks mined: 3 for training, 1 held out. Left out: 5 x slow, 2 x flaky.\n"
        "  flaky: a.py::f, a.py::g",
    ),
    (
        events.TasksMined(3, 1, {}, {}, {"taken_over": 2, "mined": 2, "gone": 1}),
        "4 tasks mined: 3 for training, 1 held out. 2 are as they were and were not measured again, 2 "
        "are new or changed, 1 are gone. ",
    ),
    (events.SecretFound("x", "it holds a key"), "x is left out: it holds a key."),
    (events.PromptsWritten("All of it.", "p"), "All of it. They are in p."),
    (
        events.PromptsTooLong(("x", "y"), 512),
        "Left out, because not even the function itself fits into 512 tokens: x, y. "
        "--set student.max_prompt=N gives a new run more room.",
    ),
    (
        events.NotAskable(
            "fim", (("x", "Not about one function"), ("y", "Mended by more than a body"))
        ),
        "Left out, because prompts of style fim cannot say them. Not about one function: x. Mended by "
        "more than a body: y.",
    ),
    (events.SetAside("x", "No answer."), "x is set aside for the rest of this run: No answer."),
    (events.Unmeasured("x", "No answer."), "x is left out: No answer."),
    (
        events.AnswersTooLong(2, 256),
        "2 verified answers are longer than the 256 tokens that the student may write, and are "
        "left out.",
    ),
    (
        events.FunctionTooLong("t.py::t", 512),
        "t.py::t: not even the function alone fits into 512 tokens, which is what the student was "
        "trained on at most.",
    ),
    (
        events.StudentLoaded(to_export=True),
        "The student is loaded with torch: only this once, to write its files for llama.cpp.",
    ),
    (events.StudentLoaded(to_export=False), "The student is loaded with torch."),
    (
        events.TrainingModelWrites("its tokenizer is odd"),
        "The training model writes the edits itself, because its tokenizer is odd.",
    ),
    (events.FilesWritten(("a.py", "b.py")), "Written: a.py, b.py"),
    (events.BranchCommitted("fix", "c0ffee" * 4), "Branch fix: c0ffeec0ff"),
    (
        events.NothingWritten(),
        "Nothing was written: --apply writes it to the work tree, --branch NAME commits it beside "
        "that.",
    ),
]
WRITERS = {"print", "sys.stdout.write", "sys.stderr.write"}


@pytest.mark.parametrize("event, sentence", SENTENCES, ids=lambda part: type(part).__name__)
def test_the_sentence_of_an_event(event, sentence):
    assert str(event) == sentence


def test_every_event_has_a_sentence_that_is_tested():
    known = {e for e in vars(events).values() if isinstance(e, type) and e is not events.Event}
    kinds = {e for e in known if issubclass(e, events.Event)}
    assert kinds == {type(event) for event, _ in SENTENCES}


def test_a_screen_shows_progress_as_a_bar_and_all_else_as_a_sentence():
    heard = []
    screen = Screen(False, lambda text, err=False: heard.append((text, err)))
    screen.progress = lambda *step: heard.append(step)
    screen.emit(events.Progress("probing", 3, 40))
    screen.emit(events.SetAside("x", "No answer."))
    assert heard == [
        ("probing", 3, 40),
        ("x is set aside for the rest of this run: No answer.", False),
    ]


def test_where_a_machine_reads_sentences_go_to_standard_error(capsys):
    screen = open_screen(as_json=True)
    screen.emit(events.Note("beside"))
    screen.say_facts(["said twice"])
    screen.result({"a": 1})
    out, errors = capsys.readouterr()
    assert out == '{"a": 1}\n' and errors == "beside\n"


def written_by(tree: ast.AST) -> set[str]:
    """What a module calls to write to a person, and the modules that it imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            names.add(ast.unparse(node.func))
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names & {*WRITERS, "click", "coldstart"}


def test_nothing_in_recipes_prints_or_knows_the_command_line():
    loud = {}
    for file in sorted((ROOT / "recipes").rglob("*.py")):
        path = str(file.relative_to(ROOT))
        if "/environment/" not in path:  # a template of another program's
            loud[path] = written_by(ast.parse(file.read_text(encoding="utf-8")))
    # What an exported environment's judge says goes to that program's standard error.
    assert loud.pop("recipes/exports/open_run.py") == {"sys.stderr.write"}
    assert {path: names for path, names in loud.items() if names} == {}


def test_a_shutdown_that_nobody_hears_of_still_ends_the_loop(capfd):
    steps = []
    with pytest.raises(KeyboardInterrupt), shutdown.GracefulShutdown() as stopping:
        for step in range(3):
            if step == 1:
                signal.raise_signal(signal.SIGINT)
            assert stopping.requested == (step == 1)
            steps.append(step)
            stopping.check()
    assert steps == [0, 1] and capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_on_the_way_is_not_taken_for_an_interruption():
    with contextlib.suppress(ValueError), shutdown.GracefulShutdown() as stopping:
        signal.raise_signal(signal.SIGINT)
        raise ValueError
    assert stopping.requested


def test_the_command_line_loads_nothing_heavy():
    code = "import sys, coldstart; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "recipes" in loaded and not loaded & {"torch", "numpy", "transformers", "libcst", "git"}
