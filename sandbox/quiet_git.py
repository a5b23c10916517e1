"""Asking git about the user's repository: it is only read, and nothing that its settings name runs.

    ask(folder, "ls-files", "-z")      # what git prints, cut at the null bytes
    differs(folder)                    # whether what git tracks there is not as in the last commit
"""
import os
import subprocess
from pathlib import Path

from sandbox.errors import UsageError

ENVIRONMENT = {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor",
               "GIT_CONFIG_VALUE_0": "false"}
"""For every git that is started. Even a comparison of two commits asks the file system monitor that
the repository's settings name: a command like any other."""


def ask(folder: Path, *arguments: str, settings: dict[str, str] | None = None,
        fine: tuple[int, ...] = (0,)) -> list[str]:
    """What git prints in this folder, cut at the null bytes. `settings` come after ENVIRONMENT;
    `fine`: exit codes that are no fault. Raises UsageError with git's own words."""
    environment = {**os.environ, **ENVIRONMENT, "LC_ALL": "C", **(settings or {})}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True)
    except OSError as error:
        raise UsageError(f"git cannot be started ({error.strerror}), and {folder} is read through "
                         "it.") from None
    if done.returncode not in fine:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise UsageError(f"git cannot read {folder}: {words}")
    return [os.fsdecode(word) for word in done.stdout.split(b"\0") if word]


def differs(folder: Path) -> bool:
    """Whether something that git tracks in this folder is not as in the last commit. Of a
    submodule only its commit counts: git would ask it without our settings."""
    return bool(ask(folder, "status", "-z", "--porcelain", "--untracked-files=no",
                    "--ignore-submodules=dirty", "--", ".", settings=_without_filters(folder)))


def _without_filters(folder: Path) -> dict[str, str]:
    """Settings that switch off the filters which the repository itself defines: to compare a file
    with the last commit, git would run them."""
    found = ask(folder, "config", "-z", "--show-scope", "--get-regexp",
                r"^filter\..*\.(clean|smudge|process|required)$", fine=(0, 1))
    settings = {"core.fsmonitor": "false"}
    for scope, setting in zip(found[::2], found[1::2]):
        if scope in ("local", "worktree"):
            name = setting.partition("\n")[0]
            settings[name] = "false" if name.endswith(".required") else ""
    numbered = list(enumerate(settings.items()))
    return {"GIT_CONFIG_COUNT": str(len(numbered)),
            **{f"GIT_CONFIG_KEY_{i}": name for i, (name, _) in numbered},
            **{f"GIT_CONFIG_VALUE_{i}": value for i, (_, value) in numbered}}
