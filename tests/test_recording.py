"""A recording of a terminal, and the picture that is drawn of it. That the README's picture is
drawn of its recording: test_readme.py."""

import json
import xml.etree.ElementTree as ET

import pytest

from docs.animation import BAR_FRAMES, LAST, LONGEST, OF_A_BAR, SHORTEST, Recording, frames, svg
from docs.record import COLUMNS, ROWS, record, words_of

BAR = 'import sys; [print(end="\\r%d/9" % n, flush=True) for n in range(10)]; print("\\rdone")'


def shown(screens):
    """(seconds, text) of the frames"""
    return [
        (seconds, "\n".join("".join(text for text, _, _ in row) for row in rows).rstrip())
        for seconds, rows in frames(screens)
    ]


def test_commands_are_typed_and_run_on_a_terminal(tmp_path):
    recording = record(["python -c 'import os; print(os.get_terminal_size())'", "ls"], tmp_path)
    (tmp_path / "a.cast").write_text("")
    assert recording.lines() == [
        "$ python -c 'import os; print(os.get_terminal_size())'",
        f"os.terminal_size(columns={COLUMNS}, lines={ROWS})",
        "$ ls",
        "",
    ]
    times = [at for at, _ in recording.events]
    assert times == sorted(times) and times[-1] > 1, "typing takes time"


def test_a_command_that_fails_ends_it(tmp_path):
    with pytest.raises(SystemExit, match="exit code 1"):
        record(["false"], tmp_path)


def test_a_recording_is_an_asciicast(tmp_path):
    recording = Recording(80, 24, [(0.0, "a \x1b[32mb\x1b[0m\r\n"), (1.254, "é")])
    recording.write(tmp_path / "r.cast")
    head, *lines = map(json.loads, (tmp_path / "r.cast").read_text().splitlines())
    assert head == {"version": 2, "width": 80, "height": 24}
    assert lines == [[0.0, "o", "a \x1b[32mb\x1b[0m\r\n"], [1.25, "o", "é"]]
    again = Recording.read(tmp_path / "r.cast")
    assert again.lines() == recording.lines() == ["a b", "é"]
    assert again.screens()[0][1][0] == (("a ", "", False), ("b", "#8fce7a", False))


def test_what_a_bar_was_drawn_over_is_not_read(tmp_path):
    (tmp_path / "bar.py").write_text(BAR)
    assert record(["python bar.py"], tmp_path).lines() == ["$ python bar.py", "done", ""]


def test_waits_are_cut_and_bars_thinned():
    steps = [f"\rstep {n}/99" for n in range(1, 100)]
    texts = ["begin\r\n", *steps, "\rall done    \r\n", "end\r\n"]
    recording = Recording(40, 5, [(60.0 * n, text) for n, text in enumerate(texts)])
    seen = shown(recording.screens())
    bar = [f"begin\nstep {n}/99" for n in (1, 34, 67)]
    assert len(bar) == BAR_FRAMES - 1
    assert seen == [
        (LONGEST, "begin"),
        *((OF_A_BAR, text) for text in bar),
        (OF_A_BAR, "begin\nall done"),
        (LAST, "begin\nall done\nend"),
    ]
    at_once = Recording(40, 5, [(0.001 * n, text) for n, text in enumerate(texts)])
    assert {seconds for seconds, _ in shown(at_once.screens())[:-1]} == {SHORTEST}


def test_a_picture_has_each_line_once_and_plays_by_itself():
    events = [(float(n), f"line {n} <&\x1b[1;31mred\x1b[0m\r\n") for n in range(9)]
    drawn = svg(Recording(30, 4, events), 'what "is" seen')
    root = ET.fromstring(drawn)
    texts = [t for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted("".join(t.itertext()) for t in texts) == [f"line {n} <&red" for n in range(9)]
    assert root.attrib["aria-label"] == 'what "is" seen' and "<script" not in drawn
    assert drawn.count("translateX(") == 9 + 1 and "prefers-reduced-motion" in drawn
    whole = 8 * 1.0 + LAST
    assert f"play {whole:.1f}s" in drawn


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("held out, hard      14  0.000 to 0.5", "held out, hard   9  1.000 to 1.0", True),
        ("at 81bece8b96, 3.5 s", "at 0123456789, 12 s", True),
        ("3 are cold", "3 are warm", False),
    ],
)
def test_figures_are_no_words(one, other, same):
    assert (words_of(one) == words_of(other)) is same
