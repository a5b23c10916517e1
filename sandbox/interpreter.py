"""The project's interpreter: which it is, what it needs to see of the host, and what is installed
there of the project itself.

    python = find_interpreter(root, wanted)            # --python, or an environment of the project
    facts = ask_interpreter(python)
    needed_folders(root, facts), installed_copies(import_names(paths), facts["path"])
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sandbox.errors import UsageError
from sandbox.jail.layout import is_below
from sandbox.project import is_environment

NAMESPACE_DEPTH = 3
"""Folders without an `__init__.py` in which the project's packages are looked for, one in the
other."""
QUERY = """
import importlib.util, json, os, sys
print(json.dumps({"version": list(sys.version_info[:3]), "prefixes": [sys.prefix, sys.base_prefix, sys.exec_prefix,
    sys.base_exec_prefix, os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))],
    "path": [p for p in sys.path if p], "pytest": importlib.util.find_spec("pytest") is not None}))
"""


def find_interpreter(root: Path, wanted: str | None) -> Path:
    """--python, then .venv, venv, $VIRTUAL_ENV, else ours."""
    if wanted:
        path = shutil.which(os.path.expanduser(wanted))
        if not path:
            raise UsageError(f"--python {wanted}: there is no such interpreter.")
        return Path(os.path.abspath(path))
    folders = [root / ".venv", root / "venv"]
    if os.environ.get("VIRTUAL_ENV"):
        folders.append(Path(os.environ["VIRTUAL_ENV"]))
    for folder in folders:
        if os.access(folder / "bin" / "python", os.X_OK):
            return folder / "bin" / "python"
    return Path(sys.executable)


def ask_interpreter(python: Path) -> dict:
    """Version, prefixes, sys.path and whether pytest is there. The user's own interpreter, run
    where no project is."""
    environment = {
        k: os.environ[k]
        for k in ("PATH", "HOME", "LANG", "PYENV_ROOT", "PYENV_VERSION")
        if k in os.environ
    }
    try:
        done = subprocess.run(
            [str(python), "-B", "-c", QUERY],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        facts = json.loads(done.stdout)
        facts["version"], facts["pytest"], facts["prefixes"], facts["path"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        raise UsageError(
            f"{python} does not work as a Python interpreter. Name another one with --python."
        ) from None
    version = ".".join(map(str, facts["version"]))
    if tuple(facts["version"]) < (3, 9):
        raise UsageError(
            f"{python} is Python {version}; the project's interpreter must be 3.9 or newer. Name "
            "another one with --python."
        )
    if not facts["pytest"]:
        raise UsageError(
            f"pytest is not installed in the project's interpreter. Install it: {python} -m pip "
            "install pytest"
        )
    return facts


def needed_folders(root: Path, facts: dict) -> list[str]:
    """What the interpreter needs to see of the host: its prefixes and packages, also those that
    lie in the project's folder."""
    if str(root) in _prefixes(facts):
        raise UsageError(
            f"The project's interpreter keeps its packages in {root} itself, among "
            "the project's files. Make it an environment in a folder of its own: "
            "python -m venv .venv"
        )
    wanted = []
    for folder in facts["prefixes"] + facts["path"]:
        for path in (folder, os.path.realpath(folder)):
            if os.path.isdir(path) and not is_below(path, "/usr") and path not in wanted:
                if path == "/" or is_below(os.path.expanduser("~"), path):
                    raise UsageError(
                        f"The project's interpreter keeps its packages in {path}, and showing that "
                        "folder to untrusted "
                        "code would show it everything. Use a virtual environment: python -m venv "
                        ".venv"
                    )
                wanted.append(path)
    # A folder of the project itself (an editable install) is in the jail as the snapshot.
    wanted = [w for w in wanted if not _is_project_s(w, root, facts)]
    wanted = [w for w in wanted if not any(is_below(w, other) for other in wanted if other != w)]
    if closed := [w for w in wanted if os.geteuid() == 0 and os.stat(w).st_mode & 0o005 != 0o005]:
        raise UsageError(
            f"Started by root the jail runs as `nobody`, and {closed[0]}, which the project's "
            "interpreter needs, is closed to "
            f"others. Open it: chmod o+rx {closed[0]}"
        )
    return wanted


def _prefixes(facts: dict) -> set[str]:
    return {path for folder in facts["prefixes"] for path in (folder, os.path.realpath(folder))}


def _is_project_s(folder: str, root: Path, facts: dict) -> bool:
    """Whether this folder of the interpreter's path is, or lies in, the project's own (under
    whichever name: a link may lead there), and in no environment."""
    prefixes = _prefixes(facts)
    for base in (str(root), os.path.realpath(root)):
        if is_below(folder, base):
            ways = [folder, *map(str, Path(folder).parents)]
            return not any(
                way in prefixes or is_environment(way)
                for way in ways
                if is_below(way, base) and way != base
            )
    return False


def path_inside(folder: str, root: Path, facts: dict) -> str:
    """A folder of the interpreter's path as it is called in the jail."""
    real = os.path.realpath(root)
    if is_below(folder, real) and _is_project_s(folder, root, facts):
        return str(root) + folder[len(real) :]
    return folder


def import_names(paths: Iterable[str]) -> set[str]:
    """Import names that files of these paths define, in a flat or a src layout: `shop`, and of a
    namespace package its parts, `acme/billing`."""
    modules = {PurePosixPath(path) for path in paths if path.endswith(".py")}
    names = set()
    for module in modules:
        parts = module.parts
        for base in (0, 1) if parts[0] == "src" else (0,):
            names.add(_import_name(PurePosixPath(*parts[:base]), parts[base:], modules))
    return names - {""}


def _import_name(base: PurePosixPath, parts: tuple[str, ...], modules: set[PurePosixPath]) -> str:
    """Of the module of these parts below `base`: the outermost package that it is in, else its own
    name; "" where that is no name to import, or lies deeper than NAMESPACE_DEPTH."""
    *folders, file = parts
    for depth, folder in enumerate(folders):
        if not folder.isidentifier() or depth > NAMESPACE_DEPTH:
            return ""
        if base.joinpath(*folders[: depth + 1], "__init__.py") in modules:
            return "/".join(folders[: depth + 1])
    stem = file.removesuffix(".py")
    if stem in ("__init__", "setup", "conftest", "noxfile") or len(folders) > NAMESPACE_DEPTH:
        return ""
    return "/".join([*folders, stem]) if stem.isidentifier() else ""


def installed_copies(names: set[str], path: list[str]) -> list[str]:
    """What is installed of the project: packages, modules, their bytecode, eggs."""
    places = []
    for folder in (
        Path(f) for f in path if f.endswith(("site-packages", "dist-packages")) and os.path.isdir(f)
    ):
        for name in sorted(names):
            places += [
                folder / name,
                folder / f"{name}.py",
                *sorted(folder.glob(f"__pycache__/{name}.*.pyc")),
                *sorted(folder.glob(f"{name}-*.egg")),
                *sorted(folder.glob(f"{name.replace('_', '-')}-*.egg")),
            ]
    return list(dict.fromkeys(str(place) for place in places if os.path.lexists(place)))
