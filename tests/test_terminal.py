"""What a person at a terminal meets: bars that fit and tell the truth, Ctrl-C with patience,
completion. On a real run: test_arc.py."""

import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import coldstart
from recipes import shutdown
from recipes.reporting import terminal as terminals
from recipes.reporting.live import fitted
from tests.conftest import ROOT
from tests.pseudo_terminal import Terminal, run, set_size

BARS = """
import time
from coldstart import open_screen
screen = open_screen(False)
screen.progress("probing (climb-0050)", 100, 200)
for done in range(101, 105):
    time.sleep(0.2)
    screen.progress("probing (climb-0050)", done, 200)
screen.say("a sentence between")
screen.progress("probing (climb-0050)", 105, 200)
screen.end_bar()
"""
STEPS = """
import sys, time
from coldstart import interruption
from recipes.reporting.terminal import say_finishing
from recipes.shutdown import GracefulShutdown
with GracefulShutdown(interruption, say_finishing) as shutdown:
    for step in range(3):
        print("begun", step, flush=True)
        for _ in range(10):
            time.sleep(0.05)
        print("kept", step, flush=True)
        shutdown.check()
"""

TRAP = """
import signal, time
import coldstart

@coldstart.cli.command()
def trap():
    try:
        print("begun", flush=True)
        time.sleep(20)
    except KeyboardInterrupt:
        time.sleep(0.5)
        print("tidied", flush=True)
        raise ModuleNotFoundError("half a module")

signal.signal(signal.SIGINT, coldstart.interruption.hear)
coldstart.cli(["trap"])
"""


LOOP = """
import sys, time
from coldstart import open_screen
from recipes.climb_events import Alarm, Thawed, TimeAhead
from recipes.events import Note, SetAside, Standing
screen = open_screen("json" in sys.argv, "verbose" in sys.argv)
figures = "hard: reward 0.62, warm 5/8, held out 0.41"
parts = (
    ("12 of 50 cycles", "12/50 cycles", "12/50"),
    (figures, figures.replace(" 0.", " ."), figures.replace(" 0.", " ."), "hard: .62, 5/8, .41"),
    ("soft: reward 0.31, warm 2/4, held out 0.20", "soft: 0.31, 2/4, 0.20", ""),
)
long = "A sentence that is longer than a narrow terminal is wide, which has to be broken."
screen.emit(Note(long))
screen.emit(TimeAhead(15.0, 50, "the cycles so far"))
screen.emit(Standing(parts, 750.0))
for done in range(8):
    screen.progress("climbing, rollouts", 400 + done, 3200)
    time.sleep(0.12)
    if done == 3:
        screen.emit(Thawed(13, {"blank-practice.strings.reversed_words": "hard", "blank-b": "soft"}))
        screen.emit(SetAside("blank-c", "the jail failed three times"))
        screen.progress("measuring held-out tasks, rollouts", 40, 40)
screen.emit(Standing())
screen.progress("probing (climb-0050), rollouts", 30, 200)
time.sleep(0.12)
screen.result({"the": "end"})
"""


def on_a_terminal(code: str, columns: int, **environment: str) -> str:
    """What the code writes to a terminal of this width, but for what erases the rest of a line."""
    terminal = Terminal(columns, rows=30)
    done = run([sys.executable, "-c", code], terminal, ROOT, **environment)
    assert done.returncode == 0 and terminal.wrapped == [], terminal.text()
    return terminal.heard.replace("\x1b[K", "")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 200])
def test_a_bar_fits_the_terminal_and_counts_only_its_own_steps(columns):
    text = on_a_terminal(BARS, columns, NO_COLOR="1")
    drawn = [part for part in re.split(r"[\r\n]", text) if "/200" in part]
    assert drawn and all(len(part) <= columns for part in drawn) and "a sentence between" in text
    assert "\x1b[3" not in text, "a colour"
    # 100 of 200 were done before: at five steps a second the other half takes 20 seconds, and not
    # none.
    rates = [float(rate) for rate in re.findall(r"(\d+\.\d+)it/s", text)]
    assert rates and max(rates) < 10, text
    left = re.findall(r"(\d\d):(\d\d) left", text)
    assert all(int(minutes) * 60 + int(seconds) >= 10 for minutes, seconds in left) and left


# ------------------------------------------------------------------------------ one line for a loop


def looped(
    columns: int, *arguments: str, piped: tuple[str, ...] = (), **environment: str
) -> tuple[Terminal, list[str], subprocess.CompletedProcess]:
    """(the terminal in the end, every state of the line that was drawn, what came out of pipes)"""
    terminal, lines = Terminal(columns), []

    def look(end: int, process: subprocess.Popen) -> None:
        if terminal.line() not in ("", *lines[-1:]):
            lines.append(terminal.line())

    command = [sys.executable, "-c", LOOP, *arguments]
    done = run(command, terminal, ROOT, meanwhile=look, piped=piped, **environment)
    assert done.returncode == 0, terminal.text()
    return terminal, lines, done


@pytest.mark.slow
@pytest.mark.parametrize(
    "columns, first",
    [
        (40, "12/50 | 12 min | hard: .62, 5/8, .41"),
        (60, "12/50 | 12 min | hard: reward .62, warm 5/8, held out .41"),
        (80, "12/50 cycles | 12 min | hard: reward 0.62, warm 5/8, held out 0.41 | 401/3200"),
        (
            120,
            "12 of 50 cycles | 12 min left | hard: reward 0.62, warm 5/8, held out 0.41 | "
            "soft: 0.31, 2/4, 0.20 | 401/3200",
        ),
    ],
)
def test_a_loop_has_one_line_and_news_stay_above_it(columns, first):
    terminal, lines, _ = looped(columns)
    assert terminal.wrapped == [] and all(len(line) <= columns for line in lines)
    assert first.removesuffix("401/3200") in [line.removesuffix("401/3200") for line in lines]
    said = " ".join(terminal.text().split())
    assert said == (
        "A sentence that is longer than a narrow terminal is wide, which has to be broken. "
        "* cycle 13 solved for the first time: blank-practice.strings.reversed_words (hard), "
        "blank-b (soft) ! blank-c is set aside for the rest of this run: the jail failed three times"
    ), "of what was drawn nothing stays, and what the line says is said nowhere else"
    assert terminal.styles() == {"1;32", "1;31"}
    assert {c for line in terminal.screen for c, style in line if style} == {"*", "!"}


@pytest.mark.slow
def test_where_it_is_piped_nothing_is_left_out_and_nothing_is_drawn():
    terminal, lines, done = looped(60, piped=("stdout", "stderr"))
    assert terminal.heard == "" and done.stderr == "" and "\x1b" not in done.stdout
    assert done.stdout.splitlines() == [
        "A sentence that is longer than a narrow terminal is wide, which has to be broken.",
        "About 15 s a cycle on this machine, and 12 min for the 50 that are left (by the cycles so "
        "far).",
        "cycle 13 solved for the first time: blank-practice.strings.reversed_words (hard), blank-b "
        "(soft)",
        "blank-c is set aside for the rest of this run: the jail failed three times",
    ]
    _, _, machine = looped(60, "json", piped=("stdout", "stderr"))
    assert machine.stderr == done.stdout and json.loads(machine.stdout) == {"the": "end"}


@pytest.mark.slow
def test_what_goes_to_a_file_is_whole_while_the_terminal_has_its_line():
    terminal, lines, done = looped(60, piped=("stdout",))
    assert "About 15 s a cycle" in done.stdout and "solved for the first time" in done.stdout
    assert any("hard: reward .62" in line for line in lines) and terminal.text() == ""


@pytest.mark.slow
def test_verbose_says_all_of_it_on_a_terminal_and_when_a_step_has_ended():
    terminal, lines, _ = looped(120, "verbose", NO_COLOR="1")
    assert "About 15 s a cycle on this machine" in terminal.text() and terminal.wrapped == []
    assert re.search(r"^measuring held-out tasks, rollouts: 40 .*in \d s$", terminal.text(), re.M)
    assert any(line.startswith("12 of 50 cycles | ") for line in lines)


@pytest.mark.slow
def test_no_colours_where_none_are_wanted_and_no_line_where_none_can_be_drawn():
    assert looped(60, NO_COLOR="1")[0].styles() == set()
    terminal, lines, _ = looped(60, TERM="dumb")
    assert "\r\n" in terminal.heard and "\x1b" not in terminal.heard
    assert (
        "\r" not in terminal.heard.replace("\r\n", "") and "About 15 s a cycle" in terminal.text()
    )


@pytest.mark.slow
def test_a_terminal_that_becomes_narrower():
    """Every line that is drawn after it was told of its new width fits that."""
    terminal = Terminal(120)

    def narrow(end: int, process: subprocess.Popen) -> None:
        if terminal.columns > 60 and "401/3200" in terminal.line():
            terminal.resize(60)
            set_size(end, terminal)

    done = run([sys.executable, "-c", LOOP], terminal, ROOT, meanwhile=narrow)
    assert done.returncode == 0 and terminal.columns == 60
    assert terminal.wrapped == [] and "12/50" not in terminal.text()
    assert terminal.shown()[-1].endswith("the jail failed three times") or terminal.shown()[
        -1
    ].startswith("  ")


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_of_the_line_on_the_terminal():
    terminal, pressed = Terminal(60), []

    def press(end: int, process: subprocess.Popen) -> None:
        if not pressed and "step 1" in terminal.line():
            os.write(end, b"\x03")
            pressed.append(True)

    done = run([sys.executable, "-c", LOOP_STOPPED], terminal, ROOT, meanwhile=press)
    assert done.returncode == 130, terminal.text()
    assert terminal.shown() == [
        "Finishing this step; Ctrl-C again stops now.",
        "coldstart: Interrupted. What was done is kept; give the same",
        "command again to go on.",
    ]


LOOP_STOPPED = """
import signal, time
import coldstart
from recipes.events import Standing
from recipes.reporting.terminal import say_finishing
from recipes.shutdown import GracefulShutdown

@coldstart.cli.command()
def loops():
    screen = coldstart.open_screen(False)
    screen.emit(Standing((("step 1" + "." * 54, "step 1" + "." * 52, "step 1"),)))
    with GracefulShutdown(coldstart.interruption, say_finishing) as shutdown:
        for step in range(50):
            for part in range(5):
                screen.progress("climbing", 5 * step + part, 250)
                time.sleep(0.05)
            shutdown.check()

signal.signal(signal.SIGINT, coldstart.interruption.hear)
coldstart.cli(["loops"])
"""


versions = st.lists(st.text("abc .", max_size=30), min_size=1, max_size=4).map(
    lambda texts: tuple(sorted(texts, key=len, reverse=True))
)


@given(st.lists(versions, max_size=5), st.integers(1, 120))
def test_what_is_fitted_fits_and_is_as_long_as_it_can_be(parts, width):
    line = fitted(parts, width)
    assert len(line) <= width
    whole, shortest = (" | ".join(p[n] for p in parts if p[n]) for n in (0, -1))
    assert (line == whole) == (len(whole) <= width)
    if len(shortest) <= width:  # nothing is cut in the middle
        assert line in {" | ".join(filter(None, chosen)) for chosen in itertools.product(*parts)}


@given(st.lists(st.text("abcdefg", min_size=1, max_size=12), max_size=30), st.integers(20, 120))
def test_a_text_that_fits_has_the_same_words(words, width):
    class Stream(io.StringIO):
        isatty = lambda self: True  # noqa: E731

    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(terminals, "columns_of", lambda stream: width)
        text = terminals.fitting(" ".join(words), Stream())
        command = f"  python coldstart.py climb --run {'x' * 200}"
        assert terminals.fitting(command, Stream()) == command, "it could not be copied"
    assert text.split() == words and all(len(line) <= width for line in text.split("\n"))
    assert terminals.fitting(" ".join(words), io.StringIO()) == " ".join(words)


# -------------------------------------------------------------------------------------- Ctrl-C


def test_a_terminal_that_is_gone_ends_nothing():
    with open(os.devnull) as gone:
        assert terminals.size_of(gone) == (80, 24)


def test_a_picture_of_a_terminal(tmp_path):
    """Of the tests' own terminal, for documents."""
    code = "import sys; sys.stdout.write('a <b>' + chr(27) + '[1;32m*' + chr(27) + '[0m c')"
    words = ["60", "dark", str(tmp_path / "out.html"), sys.executable, "-c", code]
    subprocess.run([sys.executable, "-m", "tests.pseudo_terminal", *words], cwd=ROOT, check=True)
    page = (tmp_path / "out.html").read_text()
    assert 'a &lt;b&gt;<span style="color:#26a269;font-weight:bold;">*</span> c</pre>' in page


def interrupted(times: int, ignoring: bool = False) -> subprocess.CompletedProcess:
    process = subprocess.Popen(
        [sys.executable, "-c", STEPS],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_IGN if ignoring else signal.SIG_DFL
        ),
    )
    assert process.stdout.readline() == "begun 0\n"
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    out, errors = process.communicate(timeout=20)
    return subprocess.CompletedProcess([], process.returncode, out, errors)


def test_ctrl_c_once_finishes_the_step():
    done = interrupted(1)
    assert done.stdout == "kept 0\n" and done.returncode != 0 and "KeyboardInterrupt" in done.stderr
    assert done.stderr.count("Finishing this step; Ctrl-C again stops now.") == 1


def test_ctrl_c_twice_stops_at_once():
    done = interrupted(2)
    assert done.stdout == "" and "KeyboardInterrupt" in done.stderr


def test_ctrl_c_cuts_nothing_off_that_ends_and_is_what_it_ended_for():
    """Whatever a library makes of the KeyboardInterrupt, and however often it is pressed."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAP],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "begun\n"
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    out, errors = process.communicate(timeout=20)
    assert out == "tidied\n" and process.returncode == 130
    assert (
        errors
        == "coldstart: Interrupted. What was done is kept; give the same command again to go on.\n"
    )


def test_a_swallowed_ctrl_c_is_no_last_one(monkeypatch):
    monkeypatch.setattr(shutdown, "GRACE", 0.05)
    interruption = shutdown.Interruption()
    with pytest.raises(KeyboardInterrupt):
        interruption.hear()
    interruption.hear()
    time.sleep(0.1)
    with pytest.raises(KeyboardInterrupt):
        interruption.hear()


def test_a_command_leaves_ctrl_c_as_it_was(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    assert CliRunner().invoke(coldstart.cli, ["status", "--run", str(tmp_path)]).exit_code == 2
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.slow
def test_a_run_in_the_background_is_left_alone():
    done = interrupted(2, ignoring=True)
    assert done.returncode == 0 and done.stdout.endswith("kept 2\n") and done.stderr == ""


@pytest.mark.parametrize(
    "words, offered",
    [("coldstart.py cl", {"climb"}), ("coldstart.py eval --split ", {"heldout", "all", "train"})],
)
def test_the_shell_completes(words, offered):
    done = subprocess.run(
        [ROOT / "coldstart.py"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
            "_COLDSTART_PY_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered, done.stderr
