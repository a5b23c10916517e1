"""What may leave this machine, and what may be learned: nothing that is or holds a secret.

    secrets = SecretFilter(repository)
    # "" or why no prompt of this task may be sent: it shows a file that git ignores, for instance
    secrets.reason_of_task(task)
    # "" or what the text holds that looks like a secret; never the secret itself
    secrets.reason(text)

- Files that `.gitignore` matches (git itself is asked; tracked or not), and files named like
  `.env`, are never shown. The snapshot holds them, because tests may need them.
- What stands in a `.env` is not said in any other way either: its values are looked for in the
  text.
- Keys and tokens are found by two scanners, because what was sent cannot be taken back and a task
  that is left out costs one task: Kingfisher knows the formats of several hundred services,
  detect-secrets (the fork that is maintained) adds key ids and what is assigned to names such as
  `password`. A secret that is found in any file of the tree is also looked for line by line, so
  that half a private key is found, too.

A line that only looks like a secret is let through if it ends with the comment `pragma: allowlist
secret`, as both scanners have it.
"""

import fnmatch
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from sandbox.errors import UsageError
from sandbox.jsonl import valid
from sandbox.judge.twins import test_functions
from sandbox.quiet_git import ask
from sandbox.repo import Repository
from sandbox.snapshot import files_of
from sandbox.source import read_text
from sandbox.tasks.task import Task

ENV_LIKE = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    ".pgpass",
    ".pypirc",
    ".npmrc",
    ".htpasswd",
    "credentials",
    "credentials.json",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.keystore",
    "*.jks",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "id_dsa",
)
"""Names of files that hold secrets by custom."""
MARK = "pragma: allowlist secret"
MIN_LENGTH = 8
"""Characters of a value or a line that is looked for; shorter ones are everywhere."""
MAX_BYTES = 1 << 20
"""Of a file in which formats are looked for; a larger one is data."""
MAX_SCANNED = 1 << 16
"""Of a file that git ignores in which assignments are looked for, too."""
KEYWORDS = {
    "plugins_used": [
        {"name": name} for name in ("AWSKeyDetector", "BasicAuthDetector", "KeywordDetector")
    ]
}
"""Of detect-secrets: what Kingfisher leaves to others."""


class SecretFilter:
    """Says what may not leave, for one snapshot of a repository."""

    def __init__(self, repository: Repository) -> None:
        """Raises UsageError where git cannot say which files it ignores."""
        from kingfisher_sdk import DetectionPolicy, Scanner

        self._scanner = Scanner(policy=DetectionPolicy(ignore_comments=(MARK,)))
        tree = repository.snapshot
        paths = [path for path, kind in files_of(tree) if kind == "file"]
        self.env_like = {
            path
            for path in paths
            if any(fnmatch.fnmatchcase(PurePosixPath(path).name.lower(), name) for name in ENV_LIKE)
        }
        self.ignored = ignored_files(repository, paths)
        texts = {
            path: valid(read_text(tree / path))
            for path in paths
            if (tree / path).stat().st_size <= MAX_BYTES
        }
        self._kept = {
            line: path for path, text in texts.items() for line in self._lines_of_secrets(text)
        }
        self._kept |= {
            value: path
            for path in self.ignored & set(texts)
            if len(texts[path]) <= MAX_SCANNED
            for _, value in _assigned(texts[path])
            if len(value) >= MIN_LENGTH
        }
        self._kept |= self._values(
            {path: text for path, text in texts.items() if path in self.env_like},
            "\n".join(
                text for path, text in texts.items() if path not in self.env_like | self.ignored
            ),
        )

    def _lines_of_secrets(self, text: str) -> list[str]:
        found = [finding.secret for finding in self._scanner.scan(text.encode())]
        lines = [
            line.strip() for secret in found for line in secret.replace("\\n", "\n").split("\n")
        ]
        return [line for line in lines if len(line) >= MIN_LENGTH and "-----" not in line]

    @staticmethod
    def _values(files: dict[str, str], told: str) -> dict[str, str]:
        """{value: path} of what stands behind the first `=` or `:` of each line, or of the whole
        line, where no other file says it."""
        values = {}
        for path, text in files.items():
            for line in text.split("\n"):
                line = line.strip()
                at = min((line.index(mark) for mark in "=:" if mark in line), default=-1)
                value = line[at + 1 :].strip().strip("\"'")
                if not line.startswith("#") and len(value) >= MIN_LENGTH and value not in told:
                    values[value] = path
        return values

    def reason_of_task(self, task: Task) -> str:
        """Why nothing that shows this task's files may be sent; "" where it may."""
        shown = [*task.named, *task.files, *test_functions(task.shown), *task.told_in]
        if hidden := next((path for path in shown if path in self.ignored), None):
            return f"it shows {hidden}, which .gitignore keeps to itself"
        if hidden := next((path for path in shown if path in self.env_like), None):
            return f"it shows {hidden}, which is for secrets by its name"
        return ""

    def reason(self, text: str) -> str:
        """What the text holds that may not leave; "" where there is nothing."""
        if path := next((path for value, path in self._kept.items() if value in text), None):
            return f"it holds a secret of {path}"
        found = [
            finding.rule_id.rpartition(".")[2].rpartition("/")[2]
            for finding in self._scanner.scan(valid(text).encode())
        ]
        found += [kind for kind, _ in _assigned(text)]
        return (
            f"it holds what looks like a secret ({', '.join(dict.fromkeys(found))})"
            if found
            else ""
        )


class SecretFilters:
    """Those of several repositories, as one: a secret of none of them may leave."""

    def __init__(self, by_repo: Mapping[str, SecretFilter]) -> None:
        """{`Task.repo`: the filter of its repository}"""
        self._by_repo = dict(by_repo)

    def reason_of_task(self, task: Task) -> str:
        """As of `SecretFilter`."""
        return self._by_repo[task.repo].reason_of_task(task)

    def reason(self, text: str) -> str:
        """As of `SecretFilter`."""
        found = (secrets.reason(text) for secrets in self._by_repo.values())
        return next((why for why in found if why), "")


AnyFilter = SecretFilter | SecretFilters


def _assigned(text: str) -> list[tuple[str, str]]:
    """(kind, secret) of what detect-secrets finds; a text that is only the name of what it is
    assigned to is no secret."""
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import transient_settings

    with transient_settings(KEYWORDS):
        found = [
            (secret.type, secret.secret_value or "", line.lower())
            for line in text.split("\n")
            for secret in scan_line(line)
        ]
    return [
        (kind, value) for kind, value, line in found if not value or line.count(value.lower()) == 1
    ]


def ignored_files(repository: Repository, paths: Iterable[str]) -> set[str]:
    """Those of the paths that git ignores by any of its rules, whether it tracks them or not.
    Raises UsageError where it cannot be asked."""
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    try:
        return set(
            ask(
                Path(repository.root),
                "check-ignore",
                "--no-index",
                "--stdin",
                "-z",
                fine=(0, 1),
                stdin=names,
            )
        )
    except UsageError as error:
        raise UsageError(
            f"Which files git ignores cannot be told, so nothing may leave. {error}"
        ) from None


def texts_of(record: object) -> str:
    """All texts in nested plain data, a line each: what a scanner reads of it."""
    if isinstance(record, dict):
        record = [*record, *record.values()]
    return (
        "\n".join(map(texts_of, record))
        if isinstance(record, (list, tuple))
        else record
        if isinstance(record, str)
        else ""
    )
