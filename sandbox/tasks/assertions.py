"""What pytest says of a test that failed, in a normal form: the same bytes every time.

assertion_of(text)        # ["assert -1 == 3", "+  where -1 = add(1, 2)"]
"""

import re

MAX_COLUMNS = 200
"""Characters of a line."""
_VARIES = (
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), "0x..."),
    (re.compile(r"(?:/[\w.+-]+)*/coldstart-jail-\w+/scratch"), "/tmp"),
    (re.compile(r"(?:/[\w.+-]+)*/pytest-of-\w+/pytest-\d+"), "/tmp"),
    (re.compile(r"/tmp/t/tmp[a-z0-9_]{8}\b"), "/tmp/..."),
    (re.compile(r"\b\d+\.\d{4,}(?:e-?\d+)?( ?(?:s|ms|seconds?))\b"), r"...\1"),
    (re.compile(r"\bpid([ =]+)\d+"), r"pid\1..."),
)
"""(what differs from run to run, what stands for it): addresses, temporary folders, measured
durations, numbers of processes. The order of sets is the jail's to keep (`PYTHONHASHSEED`)."""
_NOISE = re.compile(r"Use -v+ to get (more diff|the full diff)|\(pytest_assertion plugin: .*")


def assertion_of(text: str) -> list[str]:
    """The lines that pytest marks with an E, but for its advice, each of MAX_COLUMNS at most."""
    lines = [line[1:].strip() for line in text.split("\n") if line.startswith("E ")]
    return [normal(line)[:MAX_COLUMNS] for line in lines if line and not _NOISE.match(line)]


def normal(line: str) -> str:
    """A line without what differs from run to run, and with nothing that cannot be printed."""
    for varies, stands in _VARIES:
        line = varies.sub(stands, line)
    return "".join(c if c.isprintable() else "?" for c in line)
