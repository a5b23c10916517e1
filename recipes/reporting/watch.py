"""A screen that is drawn again and again, as `watch` and `top` do it.

    watch(lambda columns: ["a line", ...], write)    # until KeyboardInterrupt

What the terminal showed before stays above in its scrollback, and the last picture stays where it
is. A picture is written at once and over the one before, so nothing flickers. Neither another
screen nor a hidden cursor is asked for, so there is nothing to put back, however it ends.
"""

import signal
import sys
import time
from collections.abc import Callable

from recipes.reporting.terminal import size_of

SECONDS = 2.0
"""Between two pictures at least, as `watch` has it."""
SHARE = 0.05
"""Of a core that drawing may take: what is watched wants it more."""
ENDING = "Drawn anew every few seconds; Ctrl-C ends it."
HOME, ERASE_LINE, ERASE_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
"""To the top left; from the cursor to the end of the line; and of the screen (ECMA-48: CUP, EL,
ED)."""


def watch(draw: Callable[[int], list[str]], write: Callable[[str], None]) -> None:
    """Show what `draw` makes of so many columns, until KeyboardInterrupt, at which it returns.
    `write` writes to standard output at once."""
    resized, is_shown = {signal.SIGWINCH}, False
    before = signal.pthread_sigmask(signal.SIG_BLOCK, resized)
    try:
        while True:
            began = time.process_time()
            columns, rows = size_of(sys.stdout)
            columns -= 1  # what stands in the last column would be erased with the rest of its line
            text = picture([*draw(columns), "", ENDING], columns, rows)
            write(text if is_shown else "\n" * rows + text)
            is_shown = True
            took = time.process_time() - began
            signal.sigtimedwait(resized, max(SECONDS, took / SHARE))
    except KeyboardInterrupt:
        return
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if is_shown:
            write("\n")  # what is said next stands below


def picture(lines: list[str], columns: int, rows: int) -> str:
    """What draws these lines over the ones before, cut to so many columns and rows."""
    from tqdm.utils import disp_trim

    if len(lines) > rows:
        hidden = len(lines) - rows + 1
        lines = [*lines[: rows - 1], f"({hidden} lines more: this window is too low)"]
    shown = (f"{disp_trim(line, columns)}{ERASE_LINE}" for line in lines)
    return HOME + "\n".join(shown) + ERASE_BELOW
