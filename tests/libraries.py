"""Real libraries to measure on: their source distributions with the tests in them, pinned, as
one-commit git repositories.

All are permissively licensed and pure Python, and their tests need nothing but pytest.
"""

import subprocess
import sys
import tarfile
from pathlib import Path

PINNED = (
    "boltons==26.2.0",
    "toolz==1.2.0",
    "more-itertools==11.2.1",
    "inflection==0.5.1",
    "cachetools==8.0.1",
    "isodate==0.7.2",
)
"""BSD, BSD, MIT, MIT, MIT, BSD."""
HELD_AGAINST = ("click==8.1.8", "marshmallow==3.26.1", "humanize==4.17.0", "attrs==25.3.0")
"""Others that hard tasks are counted on. BSD, MIT, MIT, MIT."""


def fetch(requirement: str, folder: Path) -> Path:
    """Download the source distribution with pip, unpack it in `folder`, and commit it. Returns the
    repository."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            str(folder),
            requirement,
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    archive = next(folder.glob(requirement.partition("==")[0].replace("-", "_") + "-*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    repository = folder / archive.name.removesuffix(".tar.gz")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", archive.name],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True)
    return repository
