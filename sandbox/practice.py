"""A repository to practise on, written to an empty folder: `handykit`, small functions of one line,
and `townkit`, code as people write it.

    write_practice_repository(Path("practice"), "all")

It is for trying the whole program out where no repository of one's own is at hand. The harder half,
`townkit`, lies as it is in `practice_harder/`: functions that call each other, classes with state,
docstrings that do not give the answer away. The easy half is made here, and small enough that the
nano student can learn it. 20 families of 14 sibling functions in six modules; what makes a
family is one kind of sentence and one kind of body, in which a few words decide: an operator, a
constant, a character, a unit. So a student that was shown some members of a family can find the
others by trying.

- Every function has a name that says what it does, one line of docstring that fully determines it,
  and a body of one line, formatted as `ast.unparse` would. Arguments and results are plain data
  (dates are ISO strings), so that a task can be judged from outside.
- Every function has three tests with literal expectations, chosen so that a wrong operator,
  character or unit and a constant that is off by one fail. The expectations are what the library
  itself returns when it is written.
- The one commit has a fixed author and date and ignores the user's git configuration, so its hash
  is the same everywhere.

A family is a generator of `Function`s below; `MODULES` says which families make which file.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from sandbox.errors import UsageError

PACKAGE = "handykit"
HARDER = Path(__file__).parent / "practice_harder"
PARTS = ("all", "easy", "harder")
DATE = "2024-03-01T12:00:00+00:00"
AUTHOR, EMAIL = "Practice", "practice@example.org"


@dataclass(frozen=True)
class Function:
    """One function of the library, with its tests."""

    name: str
    parameters: str
    docstring: str
    body: str
    """one line"""
    tests: dict[str, list[tuple]]
    """what is special in the test's name, or "" -> argument tuples, one assertion each"""


Family = Callable[[], Iterator[Function]]

MARKS = {
    "comma": ",",
    "dash": "-",
    "dot": ".",
    "colon": ":",
    "semicolon": ";",
    "slash": "/",
    "pipe": "|",
}
COMPARISONS = (
    ("above", "greater than", ">"),
    ("below", "less than", "<"),
    ("at_least", "at least", ">="),
    ("at_most", "at most", "<="),
    ("equal_to", "equal to", "=="),
    ("other_than", "not equal to", "!="),
)
ARITHMETIC = (("plus", "+"), ("minus", "-"), ("times", "*"))


# --------------------------------------------------------------------------------------------- text


def parts_of_text() -> Iterator[Function]:
    for which, index in (("first", 0), ("last", -1)):
        for name, mark in MARKS.items():
            yield Function(
                f"{which}_by_{name}",
                "text",
                f"Split text on '{mark}' and return the {which} part.",
                f"return text.split('{mark}')[{index}]",
                {
                    "": [(f"red{mark}green{mark}blue",), (f"a b{mark}c d",)],
                    f"without_{name}": [("plain",), ("",)],
                    f"next_to_{name}": [
                        (f"{mark}left and right{mark}",),
                        (f"x{mark}",),
                        (f"{mark}y",),
                    ],
                },
            )


def joined_words() -> Iterator[Function]:
    for verb, which, words in (("join", "", "words"), ("join_sorted", "sorted ", "sorted(words)")):
        for name, mark in MARKS.items():
            yield Function(
                f"{verb}_with_{name}",
                "words",
                f"Join the {which}words with '{mark}'.",
                f"return '{mark}'.join({words})",
                {
                    "": [(["pear", "apple", "fig"],), (["b", "a"],)],
                    "one_word": [(["pear"],)],
                    "no_words": [([],)],
                },
            )


def marked_text() -> Iterator[Function]:
    for where in ("before", "after"):
        for name, mark in MARKS.items():
            yield Function(
                f"{name}_{where}",
                "text",
                f"Return text with '{mark}' {where} it.",
                f"return '{mark}' + text" if where == "before" else f"return text + '{mark}'",
                {
                    "": [("word",), ("two words",)],
                    "twice": [(f"{mark}word{mark}",)],
                    "empty": [("",)],
                },
            )


def ends_of_text() -> Iterator[Function]:
    for verb in ("starts", "ends"):
        for name, mark in MARKS.items():
            yield Function(
                f"{verb}_with_{name}",
                "text",
                f"Tell whether text {verb} with '{mark}'.",
                f"return text.{verb}with('{mark}')",
                {
                    "": [(f"{mark}word",), (f"word{mark}",)],
                    "both_or_inside": [(f"{mark}{mark}",), (f"one{mark}two",)],
                    f"without_{name}": [("word",), ("",)],
                },
            )


def replaced_marks() -> Iterator[Function]:
    names = list(MARKS)
    for step in (1, 3):
        for i, old in enumerate(names):
            new = names[(i + step) % len(names)]
            yield Function(
                f"{old}_to_{new}",
                "text",
                f"Replace '{MARKS[old]}' by '{MARKS[new]}' in text.",
                f"return text.replace('{MARKS[old]}', '{MARKS[new]}')",
                {
                    "": [(f"one{MARKS[old]}two",), (f"a{MARKS[old]}b{MARKS[old]}c",)],
                    "other_marks": [("a,b-c.d:e;f/g|h",)],
                    "nothing_to_replace": [("plain",), ("",)],
                },
            )


def repeated_text() -> Iterator[Function]:
    for case, times in zip(
        cycle(("upper", "lower", "title")), (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 2, 3, 4, 5)
    ):
        yield Function(
            f"{case}_{times}_times",
            "text",
            f"Return text in {case} case, {times} times.",
            f"return text.{case}() * {times}",
            {"": [("Hey you ",), ("abc",)], "mixed_case": [("mIXed Case",)], "empty": [("",)]},
        )


# -------------------------------------------------------------------------------------------- lists


def kept_items() -> Iterator[Function]:
    for (name, words, sign), n in zip(
        cycle(COMPARISONS), (10, 18, 21, 65, 7, 3, 50, 12, 5, 30, 24, 8, 40, 16)
    ):
        yield Function(
            f"keep_{name}_{n}",
            "values",
            f"Return the items of values that are {words} {n}.",
            f"return [value for value in values if value {sign} {n}]",
            around_limit([n]) | {"many": [([n * 2, 1, n, n + 1, -n, n],)]},
        )


def changed_items() -> Iterator[Function]:
    for (name, sign), n in zip(cycle(ARITHMETIC), (5, 3, 2, 10, 7, 4, 12, 20, 6, 25, 9, 8, 30, 15)):
        yield Function(
            f"each_{name}_{n}",
            "values",
            f"Return each item of values {name} {n}.",
            f"return [value {sign} {n} for value in values]",
            {
                "": [([1, 2, 3],), ([10, 40],)],
                "zero_and_negative": [([0, -4],)],
                "nothing": [([],)],
            },
        )


def counted_items() -> Iterator[Function]:
    for (name, words, sign), n in zip(
        cycle(COMPARISONS), (20, 6, 13, 9, 4, 11, 35, 17, 60, 2, 15, 28, 45, 5)
    ):
        yield Function(
            f"count_{name}_{n}",
            "values",
            f"Count the items of values that are {words} {n}.",
            f"return len([value for value in values if value {sign} {n}])",
            around_limit([n, n + 1, n + 2]) | {"many": [([n * 2, 1, n, n + 1, -n, n, n + 5],)]},
        )


def summed_items() -> Iterator[Function]:
    for (name, words, sign), n in zip(
        cycle(COMPARISONS), (15, 40, 8, 25, 3, 6, 12, 70, 33, 19, 10, 2, 22, 9)
    ):
        yield Function(
            f"sum_{name}_{n}",
            "values",
            f"Sum the items of values that are {words} {n}.",
            f"return sum([value for value in values if value {sign} {n}])",
            around_limit([n]) | {"many": [([n * 2, 1, n, n + 1, -n, n],)]},
        )


def around_limit(plain: list[int]) -> dict[str, list[tuple]]:
    """Tests of a function that compares each item with the first of `plain`."""
    n = plain[0]
    return {
        "": [([*plain, n - 1, n + 1],), ([n + 9, n - 9],)],
        "near_the_limit": [([n - 1],), ([n],), ([n + 1],)],
    }


def ends_of_list() -> Iterator[Function]:
    sides = (
        ("first", "the first {}", "[:{}]"),
        ("last", "the last {}", "[-{}:]"),
        ("skip", "all but the first {}", "[{}:]"),
        ("drop_last", "all but the last {}", "[:-{}]"),
    )
    for (name, words, index), n in zip(cycle(sides), (3, 2, 4, 2, 5, 4, 3, 5, 6, 7, 2, 3, 8, 5)):
        yield Function(
            f"{name}_{n}",
            "items",
            f"Return {words.format(n)} of items.",
            f"return items{index.format(n)}",
            {
                "": [(list(range(10, 20)),), (list("abcdefghijkl"),)],
                "exactly": [(list(range(1, n + 1)),), (list(range(1, n + 2)),)],
                "nothing": [([],)],
            },
        )


def extreme_items() -> Iterator[Function]:
    for (name, function), n in zip(
        cycle((("largest", "max"), ("smallest", "min"))),
        (5, 10, 3, 50, 12, 8, 25, 7, 40, 2, 16, 30, 9, 20),
    ):
        yield Function(
            f"{name}_or_{n}",
            "values",
            f"Return the {name} item of values, or {n} if empty.",
            f"return {function}(values, default={n})",
            {
                "": [([4, 90, 31],), ([-1, -7],)],
                "one_item": [([n + 1],), ([n - 1],)],
                "empty": [([],)],
            },
        )


# ------------------------------------------------------------------------------------------ numbers


def limited_numbers() -> Iterator[Function]:
    for (name, words, function), n in zip(
        cycle((("at_least", "less", "max"), ("at_most", "more", "min"))),
        (2, 10, 18, 100, 5, 31, 7, 24, 12, 60, 3, 99, 20, 8),
    ):
        yield Function(
            f"{name}_{n}",
            "number",
            f"Return number, but not {words} than {n}.",
            f"return {function}(number, {n})",
            {
                "": [(n - 40,), (n + 40,)],
                "near_the_limit": [(n - 1,), (n,), (n + 1,)],
                "zero_and_negative": [(0,), (-n,)],
            },
        )


def divisible_numbers() -> Iterator[Function]:
    for (name, words, sign), n in zip(
        cycle((("divisible", "divisible", "=="), ("not_divisible", "not divisible", "!="))),
        (2, 3, 5, 4, 7, 6, 10, 9, 12, 8, 3, 7, 11, 15),
    ):
        yield Function(
            f"is_{name}_by_{n}",
            "number",
            f"Tell whether number is {words} by {n}.",
            f"return number % {n} {sign} 0",
            {
                "": [(n,), (n * 7,), (n * 4 + 1,)],
                "near_a_multiple": [(n * 3 - 1,), (n * 3,), (n * 3 + 1,)],
                "zero": [(0,), (1,)],
            },
        )


def percentages() -> Iterator[Function]:
    for (name, words, sign), n in zip(
        cycle((("add", "plus", "+"), ("take", "minus", "-"))),
        (5, 10, 19, 20, 7, 25, 8, 30, 12, 3, 16, 15, 21, 40),
    ):
        yield Function(
            f"{name}_{n}_percent",
            "price",
            f"Return price {words} {n} percent.",
            f"return price {sign} price * {n} / 100",
            {"": [(100,), (300,)], "cheap": [(1.25,)], "nothing": [(0,)]},
        )


# ------------------------------------------------------------------------------------- dictionaries


def entries() -> Iterator[Function]:
    keys = (
        "size",
        "name",
        "count",
        "path",
        "mode",
        "line",
        "width",
        "title",
        "price",
        "level",
        "age",
        "port",
        "limit",
        "weight",
    )
    for key, n in zip(keys, (0, 7, 10, 3, 20, 1, 80, 12, 5, 2, 18, 8, 50, 4)):
        yield Function(
            f"{key}_or_{n}",
            "record",
            f"Return the '{key}' of record, or {n} if missing.",
            f"return record.get('{key}', {n})",
            {
                "": [({key: n + 30, "other": 6},), ({"other": 6, key: n - 1},)],
                "empty_value": [({key: None},)],
                "missing": [({"other": 6},), ({},)],
            },
        )


def chosen_keys() -> Iterator[Function]:
    for (name, words, sign), n in zip(
        cycle(COMPARISONS), (5, 14, 30, 8, 2, 10, 26, 50, 11, 17, 6, 4, 9, 36)
    ):
        yield Function(
            f"keys_{name}_{n}",
            "counts",
            f"Return the sorted keys of counts whose value is {words} {n}.",
            f"return sorted([key for key in counts if counts[key] {sign} {n}])",
            {
                "": [({"pear": n + 9, "fig": n - 9, "apple": n + 20, "date": n - 20},)],
                "near_the_limit": [({"c": n + 1, "b": n, "a": n - 1},), ({"z": n, "y": n},)],
                "empty": [({},)],
            },
        )


# ---------------------------------------------------------------------------------- units and dates


def conversions() -> Iterator[Function]:
    for small, large, n in (
        ("minutes", "hours", 60),
        ("hours", "days", 24),
        ("days", "weeks", 7),
        ("months", "years", 12),
        ("feet", "yards", 3),
        ("centimetres", "metres", 100),
        ("grams", "kilograms", 1000),
    ):
        for old, new, word, sign in (
            (large, small, "times", "*"),
            (small, large, "divided by", "/"),
        ):
            yield Function(
                f"{old}_to_{new}",
                "amount",
                f"Convert {old} to {new}: amount {word} {n}.",
                f"return amount {sign} {n}",
                {"": [(n,), (n * 4,)], "half": [(n / 2,)], "zero": [(0,)]},
            )


def shifted_dates() -> Iterator[Function]:
    for (verb, where, sign), (n, unit) in zip(
        cycle((("add", "after", "+"), ("subtract", "before", "-"))),
        (
            (30, "days"),
            (7, "days"),
            (2, "weeks"),
            (10, "days"),
            (90, "days"),
            (4, "weeks"),
            (14, "days"),
            (45, "days"),
            (6, "weeks"),
            (60, "days"),
            (3, "days"),
            (12, "weeks"),
            (5, "days"),
            (8, "weeks"),
        ),
    ):
        yield Function(
            f"{verb}_{n}_{unit}",
            "day",
            f"Return the ISO date {n} {unit} {where} day.",
            f"return str(date.fromisoformat(day) {sign} timedelta({unit}={n}))",
            {
                "": [("2023-06-15",), ("2021-01-01",)],
                "leap_year": [("2024-02-28",), ("2024-03-01",)],
                "end_of_year": [("2022-12-31",)],
            },
        )


def years_compared() -> Iterator[Function]:
    for (name, words, sign), year in zip(
        cycle(COMPARISONS),
        (2000, 1990, 2010, 1980, 2024, 1999, 2020, 1970, 2005, 2015, 1984, 2012, 1995, 2030),
    ):
        yield Function(
            f"year_{name}_{year}",
            "day",
            f"Tell whether the year of day is {words} {year}.",
            f"return int(day[:4]) {sign} {year}",
            {
                "": [(f"{year - 20}-05-17",), (f"{year + 20}-11-02",)],
                "near_the_limit": [
                    (f"{year - 1}-12-31",),
                    (f"{year}-01-01",),
                    (f"{year + 1}-01-01",),
                ],
                "long_ago": [("0987-06-05",)],
            },
        )


MODULES: dict[str, tuple[str, str, tuple[Family, ...]]] = {
    "text": (
        "Taking text apart and putting it together.",
        "",
        (parts_of_text, joined_words, marked_text, ends_of_text, replaced_marks, repeated_text),
    ),
    "lists": (
        "Choosing, changing and summing up the items of a list.",
        "",
        (kept_items, changed_items, counted_items, summed_items, ends_of_list, extreme_items),
    ),
    "numbers": (
        "Limits, divisors and percentages.",
        "",
        (limited_numbers, divisible_numbers, percentages),
    ),
    "dicts": ("Looking things up in dictionaries.", "", (entries, chosen_keys)),
    "units": ("From one unit to another.", "", (conversions,)),
    "dates": (
        "Dates as ISO strings, such as '2024-03-01'.",
        "from datetime import date, timedelta\n",
        (shifted_dates, years_compared),
    ),
}
"""file -> (module docstring, imports, families)"""


# -------------------------------------------------------------------------------------------- files


def write_practice_repository(directory: Path, part: str = "easy") -> None:
    """Write the repository with its one commit to `directory`, which must be empty or not exist;
    `part`: one of PARTS.

    Raises UsageError otherwise, and where git is not installed.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            f"{directory} is not an empty folder; the practice repository needs one of its own."
        )
    if shutil.which("git") is None:
        raise UsageError("The practice repository is a git repository, and git is not installed.")
    for path, text in sorted(practice_files(part).items()):
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
    commit_all(directory)


def practice_files(part: str = "easy") -> dict[str, str]:
    """path -> text of every file of the repository, or of a part of it"""
    common = {
        "README.md": readme(),
        "pyproject.toml": PYPROJECT,
        ".gitignore": "__pycache__/\n.pytest_cache/\n",
    }
    halves = {"easy": [easy_files], "harder": [harder_files]}.get(part, [easy_files, harder_files])
    return common | {path: text for half in halves for path, text in half().items()}


def harder_files() -> dict[str, str]:
    """path -> text of every file of `townkit`"""
    return {
        file.relative_to(HARDER).as_posix(): file.read_text(encoding="utf-8")
        for file in HARDER.rglob("*.py")
    }


def easy_files() -> dict[str, str]:
    """path -> text of every file of `handykit`"""
    files = {f"{PACKAGE}/__init__.py": '"""Small functions for everyday use."""\n'}
    for module, (docstring, imports, families) in MODULES.items():
        functions = [function for family in families for function in family()]
        source = library_module(docstring, imports, functions)
        files[f"{PACKAGE}/{module}.py"] = source
        files[f"tests/test_{module}.py"] = pytest_module(module, source, functions)
    return files


PYPROJECT = f"""\
[project]
name = "{PACKAGE}"
version = "1.0.0"
description = "Small functions for everyday use."
requires-python = ">=3.9"
dependencies = []

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""


def readme() -> str:
    modules = "".join(
        f"- `{PACKAGE}.{module}`: {docstring}\n" for module, (docstring, _, _) in MODULES.items()
    )
    return (
        f"# {PACKAGE}\n\nSmall functions for everyday use, with no dependency.\n\n{modules}\n"
        f"```python\n>>> from {PACKAGE}.text import first_by_comma\n>>> "
        "first_by_comma('red,green,blue')\n'red'\n```\n\n"
        "The tests run with `python -m pytest`.\n"
    )


def library_module(docstring: str, imports: str, functions: list[Function]) -> str:
    blocks = [
        f'def {f.name}({f.parameters}):\n    """{f.docstring}"""\n    {f.body}\n' for f in functions
    ]
    return "\n\n".join([f'"""{docstring}"""\n' + (f"\n{imports}" if imports else ""), *blocks])


def pytest_module(module: str, source: str, functions: list[Function]) -> str:
    """The pytest file of one module; expectations are what `source` returns."""
    library: dict = {}
    exec(source, library)  # our own text, written above
    names = "".join(f"    {name},\n" for name in sorted(f.name for f in functions))
    blocks = [f"from {PACKAGE}.{module} import (\n{names})\n"]
    for function in functions:
        for special, argument_tuples in function.tests.items():
            lines = [
                f"    {assertion(function.name, arguments, library[function.name](*arguments))}\n"
                for arguments in argument_tuples
            ]
            blocks.append(
                f"def test_{function.name}{'_' + special if special else ''}():\n" + "".join(lines)
            )
    return "\n\n".join(blocks)


def assertion(name: str, arguments: tuple, expected: object) -> str:
    relation = "is" if isinstance(expected, bool) or expected is None else "=="
    return f"assert {name}({', '.join(map(repr, arguments))}) {relation} {expected!r}"


# ---------------------------------------------------------------------------------------------- git


def commit_all(directory: Path) -> None:
    """Make `directory` a git repository with one commit of all its files, the same on every
    machine.

    The user's configuration (signing, hooks, templates, line endings, ignored files) is kept out by
    giving git a home folder without any, the environment's GIT_* by saying explicitly what they
    could change.
    """
    import git

    metadata = directory.resolve() / ".git"
    metadata.mkdir()
    command = git.Git(directory)
    command.update_environment(
        HOME=str(metadata),
        XDG_CONFIG_HOME=str(metadata),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_ATTR_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_CONFIG_COUNT="0",
        GIT_CONFIG_PARAMETERS="",
        GIT_DIR=str(metadata),
        GIT_WORK_TREE=str(directory.resolve()),
        GIT_INDEX_FILE=str(metadata / "index"),
        GIT_OBJECT_DIRECTORY=str(metadata / "objects"),
        GIT_AUTHOR_NAME=AUTHOR,
        GIT_AUTHOR_EMAIL=EMAIL,
        GIT_AUTHOR_DATE=DATE,
        GIT_COMMITTER_NAME=AUTHOR,
        GIT_COMMITTER_EMAIL=EMAIL,
        GIT_COMMITTER_DATE=DATE,
    )
    command.init("--quiet", "--template=", "--object-format=sha1", "--initial-branch=main")
    command.add("--all", "--force")
    command.commit(
        "--quiet", "--no-verify", "--no-gpg-sign", "--message=A library of small functions"
    )
