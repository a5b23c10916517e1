"""What a person at a terminal meets: bars that fit and tell the truth, Ctrl-C with patience,
completion. On a real run: test_arc.py."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pytest
from click.testing import CliRunner

import coldstart
from recipes import shutdown
from tests.conftest import ROOT

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


def on_a_terminal(code: str, columns: int, **environment: str) -> str:
    """What the code writes to a terminal of this width."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, **environment},
    )
    os.close(its)
    heard = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                heard += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    assert process.wait() == 0, heard.decode()
    return heard.decode()


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
