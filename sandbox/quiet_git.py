"""Asking git about the user's repository: it is only read, and nothing that its settings name runs.

    ask(folder, "ls-files", "-z")      # what git prints, cut at the null bytes
    start(folder, "cat-file", ...)     # what came of it, for who wants its exit code and its bytes
    blobs(folder, ids)                 # the contents of files
    differs(folder)                    # whether what git tracks there is not as in the last commit

Nothing is fetched: what a partial clone has left out stays out. What git says to people is passed
on in its own words, in English whatever the person's language is.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sandbox.errors import UsageError

ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
}
"""For every git that is started. Even a comparison of two commits asks the file system monitor that
the repository's settings name: a command like any other. An old git knows nothing of
GIT_NO_LAZY_FETCH, and finds no protocol that it may fetch by."""


def start(
    folder: Path, *arguments: str, settings: dict[str, str] | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess:
    """What came of git with these arguments in this folder, its output as bytes. `settings` come
    after ENVIRONMENT. Raises UsageError where there is no git to be started."""
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=stdin,
            env={**os.environ, **ENVIRONMENT, **(settings or {})},
            capture_output=True,
        )
    except OSError as error:
        raise UsageError(
            f"git cannot be started ({error.strerror}), and {folder} is read through it. Is git "
            "installed, and in PATH?"
        ) from None


def message_of(done: subprocess.CompletedProcess) -> str:
    """What git said to people."""
    message = done.stderr.decode("utf-8", "replace").strip()
    return message or f"it ended with exit code {done.returncode} and said nothing."


def ask(
    folder: Path,
    *arguments: str,
    settings: dict[str, str] | None = None,
    fine: tuple[int, ...] = (0,),
    what: str = "",
    stdin: bytes = b"",
) -> list[str]:
    """What git prints in this folder, cut at the null bytes. `settings` and `stdin` are those of
    `start`; `fine`: exit codes that are no fault; `what` is read, if not the folder. Raises
    UsageError with git's own words."""
    done = start(folder, *arguments, settings=settings, stdin=stdin)
    if done.returncode not in fine:
        raise UsageError(f"git cannot read {what or folder}: {message_of(done)}")
    return [os.fsdecode(word) for word in done.stdout.split(b"\0") if word]


class Absent(Exception):
    """An object that this clone does not have: it is shallow or partial."""


def blobs(folder: Path, ids: list[str]) -> Iterator[bytes]:
    """The contents of these blobs. Raises Absent."""
    done = start(folder, "cat-file", "--batch", stdin="\n".join(ids).encode())
    at = 0
    for _ in ids:
        end = done.stdout.find(b"\n", at)
        facts = done.stdout[at : max(end, at)].split(b" ")
        if len(facts) != 3:
            raise Absent
        at = end + 1 + int(facts[2]) + 1
        yield done.stdout[end + 1 : at - 1]


def differs(folder: Path, path: str = "") -> bool:
    """Whether something that git tracks in this folder, or this path in it, is not as in the last
    commit. Of a submodule only its commit counts: git would ask it without our settings."""
    return bool(
        ask(
            folder,
            "status",
            "-z",
            "--porcelain",
            "--untracked-files=no",
            "--ignore-submodules=dirty",
            "--",
            f":(literal){path}" if path else ".",
            settings=_without_filters(folder),
        )
    )


def _without_filters(folder: Path) -> dict[str, str]:
    """Settings that switch off the filters which the repository itself defines: to compare a file
    with the last commit, git would run them."""
    listed = ask(
        folder,
        "config",
        "-z",
        "--show-scope",
        "--get-regexp",
        r"^filter\..*\.(clean|smudge|process|required)$",
        fine=(0, 1),
    )
    settings = {"core.fsmonitor": "false"}
    for scope, setting in zip(listed[::2], listed[1::2]):
        if scope in ("local", "worktree"):
            name = setting.partition("\n")[0]
            settings[name] = "false" if name.endswith(".required") else ""
    numbered = list(enumerate(settings.items()))
    return {
        "GIT_CONFIG_COUNT": str(len(numbered)),
        **{f"GIT_CONFIG_KEY_{i}": name for i, (name, _) in numbered},
        **{f"GIT_CONFIG_VALUE_{i}": value for i, (_, value) in numbered},
    }
