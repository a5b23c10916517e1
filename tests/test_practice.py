"""The practice repository: reads like a library, has tests that bite, and is the same
everywhere."""

import ast
import subprocess
import sys
import types

import pytest

from sandbox.errors import UsageError
from sandbox.practice import MODULES, PACKAGE, practice_files, write_practice_repository

FILES = practice_files()
FUNCTIONS = [
    (module, function)
    for module, (_, _, families) in MODULES.items()
    for family in families
    for function in family()
]
NAMES = [function.name for _, function in FUNCTIONS]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "practice"
    write_practice_repository(folder)
    return folder


def head(folder):
    return git(folder, "rev-parse", "HEAD").strip()


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def suites():
    """module -> namespace of its test file, whose names a test may bind to other functions."""
    spaces = {}
    for module in MODULES:
        library = types.ModuleType(f"{PACKAGE}.{module}")
        exec(FILES[f"{PACKAGE}/{module}.py"], vars(library))
        text = FILES[f"tests/test_{module}.py"].split(")\n", 1)[1]
        space = dict(vars(library))
        exec(text, space)
        spaces[module] = space
    return spaces


def suite_of(space, name):
    return [
        test
        for key, test in space.items()
        if key.startswith("test_") and name in test.__code__.co_names
    ]


def passes(tests):
    try:
        for test in tests:
            test()
    except Exception:  # whatever a changed function raises, its tests do not pass
        return False
    return True


@pytest.mark.slow
def test_own_suite_passes(repository):
    run = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert git(repository, "status", "--porcelain") == ""


def test_one_commit_on_main(repository):
    assert git(repository, "log", "--format=%an <%ae> %aI %cI %D").strip() == (
        "Practice <practice@example.org> 2024-03-01T12:00:00+00:00 2024-03-01T12:00:00+00:00 HEAD "
        "-> main"
    )
    assert set(git(repository, "ls-files").split()) == set(FILES)


def test_commit_hash_does_not_depend_on_the_user(repository, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\nname = Somebody\nemail = somebody@example.org\n[commit]\ngpgsign = "
        "true\n[core]\nautocrlf = true\n"
        f"hooksPath = {hooks}\nexcludesFile = {tmp_path}/ignored\n[init]\ndefaultBranch = other\n"
    )
    (tmp_path / "ignored").write_text("*.toml\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody else")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    write_practice_repository(tmp_path / "again")
    monkeypatch.delenv("GIT_DIR")
    assert head(tmp_path / "again") == head(repository)


def test_writes_into_an_empty_folder(repository, tmp_path):
    write_practice_repository(tmp_path)
    assert head(tmp_path) == head(repository)


def test_refuses_a_folder_with_something_in_it(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="empty"):
        write_practice_repository(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_refuses_a_file(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="empty"):
        write_practice_repository(tmp_path / "mine.txt")


def test_twenty_families_of_fourteen():
    sizes = [len(list(family())) for _, _, families in MODULES.values() for family in families]
    assert sizes == [14] * 20
    assert len(set(NAMES)) == len(NAMES)
    assert len({(function.docstring, function.parameters) for _, function in FUNCTIONS}) == len(
        FUNCTIONS
    )


def test_functions_are_described_and_formatted_alike():
    for module in MODULES:
        tree = ast.parse(FILES[f"{PACKAGE}/{module}.py"])
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert len(functions) == sum(place == module for place, _ in FUNCTIONS)
        for node in functions:
            docstring = ast.get_docstring(node)
            assert docstring and docstring.endswith(".") and "\n" not in docstring
            assert ast.unparse(node) + "\n" in FILES[f"{PACKAGE}/{module}.py"]


def test_bodies_within_a_module_differ():
    for module in MODULES:
        bodies = [function.body for place, function in FUNCTIONS if place == module]
        assert len(set(bodies)) == len(bodies)


def test_only_the_standard_library_is_imported():
    for path, text in FILES.items():
        if path.endswith(".py"):
            imported = {
                node.module.split(".")[0]
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ImportFrom)
            }
            assert imported <= {"datetime", PACKAGE}
            assert not any(isinstance(node, ast.Import) for node in ast.walk(ast.parse(text)))


def test_every_function_has_several_tests_with_several_cases(suites):
    for module, function in FUNCTIONS:
        tests = suite_of(suites[module], function.name)
        assert 2 <= len(tests) <= 4, function.name
        assert sum(map(len, function.tests.values())) >= 3
        assert passes(tests)


def test_arguments_and_results_are_plain_data(suites):
    plain = (type(None), bool, int, float, str, list, dict)
    for module, function in FUNCTIONS:
        for arguments in (case for cases in function.tests.values() for case in cases):
            assert isinstance(suites[module][function.name](*arguments), plain)
            assert all(isinstance(argument, plain) for argument in arguments)


class OneChange(ast.NodeTransformer):
    """Makes the n-th possible small mistake: a constant off by one, another character, another
    operator or name."""

    OPERATORS = {
        ast.Gt: (ast.GtE, ast.Lt),
        ast.Lt: (ast.LtE, ast.Gt),
        ast.GtE: (ast.Gt, ast.LtE),
        ast.LtE: (ast.Lt, ast.GtE),
        ast.Eq: (ast.NotEq, ast.GtE, ast.LtE),
        ast.NotEq: (ast.Eq, ast.Gt, ast.Lt),
        ast.Add: (ast.Sub,),
        ast.Sub: (ast.Add,),
        ast.Mult: (ast.Add, ast.Sub),
        ast.Div: (ast.Mult, ast.FloorDiv),
        ast.Mod: (ast.FloorDiv,),
    }
    WORDS = {
        "max": "min",
        "min": "max",
        "upper": "lower",
        "lower": "upper",
        "title": "upper",
        "sorted": "list",
        "startswith": "endswith",
        "endswith": "startswith",
        "days": "weeks",
        "weeks": "days",
        "sum": "len",
        "len": "sum",
    }

    def __init__(self, n):
        self.left = n

    def pick(self, node, others):
        """One of `others` if it is the turn of it, else `node`."""
        for other in others:
            self.left -= 1
            if self.left == -1:
                return other
        return node

    def visit_Constant(self, node):
        if type(node.value) is int:
            return self.pick(node, [ast.Constant(node.value + 1), ast.Constant(node.value - 1)])
        if type(node.value) is str:
            return self.pick(node, [ast.Constant("!"), ast.Constant(node.value + node.value)])
        return node

    def visit_Name(self, node):
        return self.pick(
            node, [ast.Name(self.WORDS[node.id], node.ctx)] if node.id in self.WORDS else []
        )

    def visit_Attribute(self, node):
        node = self.generic_visit(node)
        others = [self.WORDS[node.attr]] if node.attr in self.WORDS else []
        return self.pick(node, [ast.Attribute(node.value, other, node.ctx) for other in others])

    def visit_keyword(self, node):
        node = self.generic_visit(node)
        return self.pick(
            node, [ast.keyword(self.WORDS[node.arg], node.value)] if node.arg in self.WORDS else []
        )

    def generic_visit(self, node):
        if type(node) in self.OPERATORS:
            return self.pick(node, [other() for other in self.OPERATORS[type(node)]])
        return super().generic_visit(node)


def mutants(body):
    for n in range(100):
        change = OneChange(n)
        tree = change.visit(ast.parse(body))
        if change.left >= 0:
            return
        yield ast.unparse(ast.fix_missing_locations(tree))


def equivalent(body):
    """A remainder is never below zero, so these two say the same as == and !=."""
    return "%" in body and body.endswith((" <= 0", " > 0"))


def test_small_mistakes_are_caught(suites):
    tried, survived = 0, []
    for module, function in FUNCTIONS:
        space = suites[module]
        tests, original = suite_of(space, function.name), space[function.name]
        for body in mutants(function.body):
            tried += 1
            exec(f"def {function.name}({function.parameters}):\n    {body}", space)
            if passes(tests) and not (
                "%" in function.body and {"<= 0", "> 0"} & {body[-4:].strip(), body[-3:]}
            ):
                survived.append(f"{function.name}: {body}")
        space[function.name] = original
    assert tried > 1000
    assert survived == []


def test_the_harder_half_is_written_beside_the_easy_one(tmp_path):
    both, harder = practice_files("all"), practice_files("harder")
    assert set(both) == {*FILES, *harder} and not any(p.startswith(PACKAGE) for p in harder)
    assert sum(p.startswith("townkit/") for p in harder) == 16
    write_practice_repository(tmp_path / "harder", "harder")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "harder",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
