"""Attacks with feedback on: replies that want to learn hidden tests or the gold edit from what is
said between the turns of an episode, by edits that say what they can read in the jail, by READ and
SEARCH.

Each attack is a sequence of replies to one task on the ground of `test_attacks.py`, with all that a
person's folder collects. It is made twice at the same place: in the other world the hidden tests,
what only they use, and the right answer are other ones. An attack has learned something where the
two are answered differently by one byte, whatever the encoding: most of the edits say a hash of all
that they can reach. Beside that, nothing that is said holds a line of them.

    python -m pytest tests/test_episode_attacks.py             # the best jail of this machine
    python -m pytest tests/test_episode_attacks.py -m long     # Landlock, and an ordinary user
"""

import base64
import codecs
import json
import os
import shutil
import tempfile
import textwrap
from pathlib import Path

import pytest

from sandbox import patches
from sandbox.episode import Episode, Feedback
from sandbox.judge.settings import Suite
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import Repository
from sandbox.source import blanked, find, read_text, with_body
from sandbox.survey import survey
from sandbox.tasks.statements import secrets
from sandbox.tasks.task import Task
from tests.test_attacks import TARGET, ground
from tests.test_landlock import as_ordinary_user

FILE, FUNCTION, TESTS = "stall/core.py", "median", "tests/test_numbers.py"
SHOWN = f"{TESTS}::test_median_of_two"
HIDDEN = (
    *(
        f"{TESTS}::test_median[xs{n}-{want}]"
        for n, want in enumerate(("2", "8", "9", "3.5", "6.0"))
    ),
    f"{TESTS}::test_median_of_nothing",
    f"{TESTS}::test_median_as_the_oracle_says",
)
OTHER_GOLD = '''    if len(xs) == 0:
        raise ValueError("nothing to look at")
    pile = sorted(xs)
    return (pile[len(pile) // 2] + pile[(len(pile) - 1) // 2]) / 2
'''
OTHER = {
    TESTS: (
        ("([3, 1, 2], 2), ([7, 40, -3, 8, 9], 8)", "([33, 11, 22], 22), ([5, 4, 6], 5)"),
        ("    before = list(xs)\n", "    # xs stays as it was\n    before = [*xs, len(xs)][:-1]\n"),
        ("[8, 1, 6, 2]", "[80, 10, 60, 20]"),
        ("median([])", "median(list())"),
        ("clamp(500, 1) == 100", "clamp(900, 2) == 100"),
    ),
    "tests/oracle.py": (("while len(pile) > 2", "while len(pile) >= 3"),),
    "tests/test_words.py": (('slug("Hello, World!"), "hello-world"', 'slug("A B"), "a-b"'),),
}
"""What is another in the other world: {file: what stands for what}."""

PRELUDE = """import base64, codecs, glob, gc, hashlib, os, sys, zipfile
def read(*patterns):
    found = {}
    for pattern in patterns:
        for path in sorted(glob.glob(pattern, recursive=True)):
            try:
                with open(path, "rb") as file:
                    found[path] = file.read()
            except OSError as error:
                found[path] = type(error).__name__
    return found
def say(found):
    text = repr(found).replace(os.path.dirname(os.environ["TMPDIR"]), "")
    text = text.replace(os.getcwd(), "")
    hashed = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    raise ValueError(hashed + " " + base64.b64encode(text[-60:].encode("utf-8", "replace")).decode())
"""


def edit(code: str) -> str:
    """A reply whose function does this."""
    body = textwrap.indent(PRELUDE + textwrap.dedent(code), "    ")
    return f"A reason.\n\n```python\ndef median(xs):\n{body}\n```\n"


def says(expression: str) -> str:
    return edit(f"say({expression})\n")


SHORT = 9
"""Characters that stand in a base64 text by chance."""
IN_MEMORY = r"""import ctypes, re
patterns = (
    rb"test_median_as_th\w{13}", rb"test_median_of_noth\w{3}", rb"while len\(pi\w\w\) >",
    rb"ordered, ha\w\w = sorted\(xs\)", rb"pile = sorted\(x\w\)\s+return \(pi\w\w\[",
)
found = [0] * len(patterns)
with open("/proc/self/maps") as maps:
    for line in maps.read().splitlines():
        low, high = (int(n, 16) for n in line.split()[0].split("-"))
        if line.split()[1].startswith("rw") and high - low < 1 << 28:
            held = ctypes.string_at(low, high - low)
            found = [n + len(re.findall(p, held)) for n, p in zip(found, patterns)]
            del held
raise ValueError(found)
"""
ATTACKS: dict[str, list[str]] = {
    "git objects": [
        *("READ .git/HEAD", "READ .git/index", "SEARCH tree "),
        says("read('.git/**', '../.git/**', '../*/.git/**', '/**/.git/HEAD')"),
    ],
    "git program": [
        edit(
            "import subprocess\nsay(subprocess.run('git log -p; git show HEAD:stall/core.py', shell=True, "
            "capture_output=True).stdout)\n"
        )
    ],
    "backup of an editor": [
        "READ stall/core.py.orig",
        says("read('stall/*.orig', '**/*~', '**/*.orig')"),
    ],
    "copy in Python": [
        *("READ stall/core_old.py", "READ stall/core_old", "SEARCH def median"),
        says("read('stall/core_old.py')"),
        edit(
            "import inspect\ntry:\n    import stall.core_old as old\nexcept ImportError as error:\n"
            "    say(str(error))\nsay(inspect.getsource(old))\n"
        ),
    ],
    "build": ["READ build/lib/stall/core.py", says("read('build/**', 'dist/**', '.tox/**')")],
    "archives": [
        *("READ vendor/stall-1.0.zip", "READ dist/stall-1.0.zip"),
        edit(
            "for path in glob.glob('**/*.zip', recursive=True):\n"
            "    say([zipfile.ZipFile(path).read(n) for n in zipfile.ZipFile(path).namelist()])\nsay(0)\n"
        ),
    ],
    "coverage report": ["READ htmlcov/stall_core_py.html", says("read('htmlcov/*', '.coverage*')")],
    "notebook and patch": [
        *("READ notes.ipynb", "READ later.diff", "SEARCH @@ -0,0"),
        says("read('*.ipynb', '*.diff', '*.patch', '*.rej')"),
    ],
    "work tree": [
        "READ .worktrees/later/stall/core.py",
        says("read('.worktrees/**', '../*/**/core.py')"),
    ],
    "installed copy": [
        says("read(*(p + '/stall/**' for p in sys.path), *(p + '/*egg*/**' for p in sys.path))"),
        says("read(sys.prefix + '/**/stall*/**', sys.prefix + '/**/tally*')"),
    ],
    "installed bytecode": [
        says("read(*(p + '/**/__pycache__/*core*' for p in sys.path if 'env' in p))")
    ],
    "bytecode of the tests": [
        *("READ tests/__pycache__/test_numbers.cpython-311-pytest.pyc", "SEARCH cpython"),
        says("read('**/__pycache__/*', '/bytecode/**', sys.pycache_prefix or 'none')"),
    ],
    "all of the tree": [
        says("read('**/*', '**/.*')"),
        says("[(a, sorted(b), sorted(c)) for a, b, c in sorted(os.walk('.'))]"),
    ],
    "tests in other encodings": [
        edit(
            "text = codecs.encode(repr(read('tests/test_numbers.py', 'tests/oracle.py')), 'rot13')\n"
            f"raise ValueError(text[{k}:{k + 150}])\n"
        )
        for k in (0, 150, 300, 450)
    ],
    "one character a line": [
        edit(f"raise ValueError(chr(10).join(repr(read('tests/*.py'))[{k}:{k + 40}:10]))\n")
        for k in (700, 740, 780)
    ],
    "which test fails": [
        edit(
            f"n = int(hashlib.sha256(repr(read('tests/**', 'conftest.py')).encode()).hexdigest(), 16)\n"
            f"return 15 if n >> {k} & 1 else 0\n"
        )
        for k in range(3)
    ],
    "the session of pytest": [
        edit(
            "import pytest\nsessions = [o for o in gc.get_objects() if isinstance(o, pytest.Session)]\n"
            "say([[i.nodeid for i in s.items] for s in sessions])\n"
        ),
        says(
            "sorted({o.co_name for o in gc.get_objects() if hasattr(o, 'co_name')} | "
            "{n for m in list(sys.modules.values()) for n in vars(m) if n.startswith('test_median')})"
        ),
    ],
    "modules of the tests": [
        edit(
            "found = {}\nfor name in ('oracle', 'tests.oracle', 'test_words', 'tests.test_words', 'test_numbers'):\n"
            "    try:\n        found[name] = sorted(vars(__import__(name)))\n"
            "    except ImportError as error:\n        found[name] = str(error)\nsay(found)\n"
        )
    ],
    "frames": [
        edit(
            "frame, found = sys._getframe(), []\nwhile frame:\n"
            "    names = {**frame.f_globals, **frame.f_locals}\n"
            "    texts = [v for v in map(repr, names.values()) if 'oracle' in v or 'median' in v]\n"
            "    found += [w for t in texts for w in t.split() if 'test_' in w and '0x' not in w]\n"
            "    frame = frame.f_back\nsay(sorted(set(found)))\n"
        )
    ],
    "source of the caller": [
        edit(
            "import inspect, linecache\nsay((inspect.getsource(sys._getframe(1)), "
            "inspect.getsource(sys.modules[sys._getframe(1).f_globals['__name__']])))\n"
        )
    ],
    "memory": [edit(IN_MEMORY)],
    "folders of the jail": [
        says(
            "read('/tree/**', '/scratch/**', '/bytecode/**', '/proc/1/cwd/**', '/proc/1/root/tree/**')"
        ),
        says("read('@CACHE@/**', '@HOME@/**', '/dev/shm/*')"),
    ],
    "guesses that are kept back": [
        edit(f"raise ValueError({guess!r})\n")
        for guess in (
            "ordered, half = sorted(xs), len(xs) // 2",
            "return ordered[half]",
            "assert median([8, 1, 6, 2]) == median_by_counting([8, 1, 6, 2])",
            "pile = sorted(xs)",
        )
    ],
    "guesses that are searched for": [
        *("SEARCH ordered, half = sorted(xs), len(xs) // 2", "SEARCH ordered[half]", "SEARCH pile"),
        *("SEARCH [8, 1, 6, 2]", "SEARCH median_by_counting", "SEARCH nothing to look at"),
        *("SEARCH test_median_as", "SEARCH before = ", "SEARCH 3.5"),
    ],
    "paths": [
        *(
            "READ tests/test_numbers.py",
            "READ stall/../tests/test_numbers.py",
            "READ ./tests/oracle.py",
        ),
        *(
            "READ /etc/passwd",
            "READ ../stall/stall/core.py",
            "READ conftest.py",
            "READ tests",
            "READ .",
        ),
        *(
            "READ stall/core.py:1-99999999",
            "READ stall/core.py:99-1",
            "READ stall//core.py",
            "READ @CACHE@",
        ),
    ],
    "limits": [
        edit(
            "import resource\nsay([resource.getrlimit(n) for n in range(10) if n != resource.RLIMIT_NPROC])\n"
        ),
        says("sorted(os.environ.items())"),
        says("sys.path"),
    ],
    "what it is asked to write": [
        "READ stall/core.py:10-60",
        "no answer",
        says("sorted(os.listdir('tests'))"),
    ],
}


# ------------------------------------------------------------------------------------------ two worlds


def other_target(folder: Path) -> Path:
    """The target in the other world."""
    shutil.copytree(TARGET, folder)
    for path, changes in OTHER.items():
        text = (folder / path).read_text()
        for old, new in changes:
            assert old in text, f"{path} no longer says {old!r}"
            text = text.replace(old, new)
        (folder / path).write_text(text)
    text = (folder / FILE).read_text()
    (folder / FILE).write_text(with_body(text, find(text, FUNCTION), OTHER_GOLD))
    return folder


def task_of(repository: Repository) -> Task:
    intact = read_text(repository.snapshot / FILE)
    return Task(
        instance_id="blank-stall.core.median",
        kind="blank",
        split="train",
        repo="stall",
        base_commit=repository.commit,
        file=FILE,
        function=FUNCTION,
        patch=patches.make(blanked(intact, find(intact, FUNCTION)), intact, FILE),
        FAIL_TO_PASS=(SHOWN, *HIDDEN),
        PASS_TO_PASS=(),
        shown=(SHOWN,),
        problem_statement="",
        test_seconds=0.05,
    )


def told(place: Path, target: Path) -> tuple[dict[str, list[str]], list[str]]:
    """({attack: what was said to each of its replies}, lines that nobody may learn), on a ground at
    `place`. A right answer is judged first, by the same jails."""
    limits = Limits(workers=1, timeout=20.0, recheck=0.0)
    with ground(place, target, mines=False) as made:
        repository = made.repository
        with Judge(repository, limits) as judge:
            seen = survey(judge, lambda what, done, total: None)
        task, suite = task_of(repository), Suite(seen.modules, seen.test_files, seen.roles)
        facts = {"@CACHE@": os.environ["XDG_CACHE_HOME"], "@HOME@": str(made.home)}
        with Judge(repository, limits, suite) as judge:
            assert judge.judge(task, task.gold(repository.snapshot)).status == "resolved" or (
                target != TARGET
            )
            return {
                name: _said(Episode(judge, task, [], "blocks", len(replies) + 1), replies, facts)
                for name, replies in ATTACKS.items()
            }, secrets(task, repository.snapshot)


def _said(episode: Episode, replies: list[str], facts: dict[str, str]) -> list[str]:
    texts = []
    for reply in replies:
        for name, value in facts.items():
            reply = reply.replace(name, value)
        outcome = episode.step(reply)
        if not isinstance(outcome, Feedback):
            return [*texts, "the shown tests pass"]
        texts.append(outcome.text)
    return texts


def both_worlds(base: Path, landlock: bool) -> list:
    """What `told` gives in each, at the same place below `base`."""
    base.mkdir(parents=True, exist_ok=True)
    if landlock:
        (base / "bin").mkdir()
        for program in ("git", "python3"):
            (base / "bin" / program).symlink_to(shutil.which(program))
        os.environ["PATH"] = str(base / "bin")
    target = other_target(base / "other")
    return [told(base / "ground", where) for where in (TARGET, target)]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("as it is", False), id="as it is"),
        pytest.param(("as it is", True), id="as it is, Landlock", marks=pytest.mark.long),
        pytest.param(("ordinary", False), id="ordinary user", marks=pytest.mark.long),
        pytest.param(("ordinary", True), id="ordinary user, Landlock", marks=pytest.mark.long),
    ],
)
def worlds(request):
    user, landlock = request.param
    if user == "ordinary" and os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    base = Path(tempfile.mkdtemp(prefix="episodes-", dir="/var/tmp"))
    path = os.environ["PATH"]
    try:
        base.chmod(0o755)
        if user == "as it is":
            return both_worlds(base, landlock)
        return json.loads(
            as_ordinary_user(
                "import json; from tests.test_episode_attacks import both_worlds; "
                f"print(json.dumps(both_worlds(place / 'all', {landlock})))",
                base,
            )
        )
    finally:
        os.environ["PATH"] = path
        shutil.rmtree(base)


def forms(line: str) -> list[str]:
    """A line as it is and in encodings that are looked for; of base64 the three in which it may
    stand in a longer text."""
    data = "".join(line.split()).encode()
    coded = [base64.b64encode(b"x" * k + data)[4 * bool(k) : -4].decode() for k in range(3)]
    plain = data.decode()
    found = [plain, plain[::-1], codecs.encode(plain, "rot13"), data.hex(), *coded]
    return [form for form in found if len(form) > SHORT]


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_learned(worlds, name):
    (said, lines), (others, more) = worlds
    assert said[name] == others[name], "what is said depends on what is hidden"
    if name.startswith("guesses"):
        return  # it says what it guesses
    text = "".join("".join(said[name]).split())
    assert not [line for line in {*lines, *more} if any(form in text for form in forms(line))]


@pytest.mark.slow
def test_the_attacks_are_answered(worlds):
    """They could learn: what may be read is read, and all of them run."""
    said = worlds[0][0]
    assert all("ValueError" in text for text in said["all of the tree"])
    assert "[0, 0, 0, 0, 0]" in said["memory"][0]
    assert said["paths"][8].startswith(f"{FILE}:1-40 of")
    assert [text for text in said["paths"] if text.startswith("There is no such file")]
    assert not any(
        "cannot be used" in t for name in said for t in said[name] if name[:7] != "what it"
    )
