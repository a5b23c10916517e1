"""Examples of documentation become tests: how they are taken apart, what is expected of them, and
the tasks of kind `doctest` that are made of them."""

import ast
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judge.edits import from_reply
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.judge.verdict import Judge, Limits
from sandbox.repo import open_repository
from sandbox.source import find, read_text, source_of
from sandbox.tasks.examples import docstrings, examples_of, without_examples
from sandbox.tasks.mine import MiningOptions, mine
from sandbox.tasks.prompts import Budget, build
from sandbox.tasks.statements import sources_of_tests
from sandbox.tasks.task import given_tests
from tests.conftest import make_repo

LIMITS = Limits(workers=1, recheck=0.0)
WORDS = '''"""Words.

>>> shout("ab")
'AB!'
"""
import re


def shout(text, mark="!"):
    """Return the text in capitals, with a mark behind it.

    >>> shout("hello")
    'HELLO!'
    >>> shout("Hello", "?")
    'HELLO?'

    Blanks around it go.

    >>> shout("  a b ")
    'A B!'
    """
    return text.strip().upper() + mark


def ranked(words):
    """Return words in the order of their lengths, those of one length as they stood.

    >>> some = ["ccc", "a"]
    >>> some.append("bb")
    >>> ranked(some)
    ['a', 'bb', 'ccc']
    >>> print("-".join(ranked(["xx", "y"])))
    y-xx
    >>> ranked(None)
    Traceback (most recent call last):
        ...
    TypeError: 'NoneType' object is not iterable
    """
    order = sorted((len(word), place) for place, word in enumerate(words))
    return [words[place] for _, place in order]


def vague(n):
    """Return a number that is 10 at least.

    >>> vague(3) >= 10
    True
    >>> type(vague(2))
    <class 'int'>
    """
    if n < 3:
        n = n * 2 - 1
    return max(10, n + 4 - n // 2)


def shown_in_part(n):
    """Return the first numbers.

    >>> shown_in_part(100)
    [0, 1, ...]
    >>> shown_in_part(1)  # doctest: +SKIP
    [0]
    """
    return list(range(n))


def told_elsewhere(text):
    """Return the words of the text, each with its vowels gone."""
    return [re.sub("[aeiou]", "", word) for word in text.split()]
'''
README = """# Lexi

```python
>>> from lexi.words import told_elsewhere
>>> told_elsewhere("one two")
['n', 'tw']
>>> told_elsewhere("secretly hidden")[0]
'scrtly'
>>> told_elsewhere("quite unseen")[1]
'nsn'
```

And so on.
"""
LEXI = {
    "lexi/__init__.py": "",
    "lexi/words.py": WORDS,
    "README.md": README,
    "PKG-INFO": "Name: lexi\nDescription: # Lexi\n" + README.replace("\n", "\n        "),
    "tests/test_lexi.py": "import lexi\n\n\ndef test_it_is_there():\n    assert lexi\n",
}


@pytest.fixture(scope="module")
def lexi(tmp_path_factory):
    return open_repository(make_repo(tmp_path_factory.mktemp("lexi") / "lexi", LEXI))


def made_of(repository):
    examples, reasons = examples_of(repository, ["lexi/words.py"])
    return {example.name: example.made().source for example in examples}, reasons


def test_what_is_expected(lexi):
    tests, reasons = made_of(lexi)
    assert "assert shout('hello') == 'HELLO!'" in tests["test_shout_1"]
    assert "out.getvalue() == 'y-xx\\n'" in tests["test_ranked_4"]
    assert "== 'TypeError'" in tests["test_ranked_5"]
    assert "assert repr(type(vague(2))) == \"<class 'int'>\"" in tests["test_vague_2"]
    assert reasons["example whose output is given in part"] == 1
    assert reasons["example that is to be skipped or cannot be taken apart"] == 1
    assert not any("shown_in_part" in name for name in tests)


def test_an_example_takes_along_what_it_needs_and_no_more(lexi):
    tests, _ = made_of(lexi)
    needs = "some = ['ccc', 'a']".replace("'", '"')
    assert needs in tests["test_ranked_3"] and "some.append" in tests["test_ranked_3"]
    assert "some" not in tests["test_ranked_4"]
    assert "hello" not in tests["test_shout_2"]
    assert "import told_elsewhere" in tests["test_README_md_3"]
    assert "one two" not in tests["test_README_md_3"]


def test_docstrings_without_examples_keep_their_words():
    plain = without_examples(WORDS, docstrings(WORDS))
    assert ">>>" not in plain and "'HELLO!'" not in plain and "Blanks around it go." in plain
    assert find(plain, "told_elsewhere") and ast.dump(ast.parse(plain)) != ast.dump(
        ast.parse(WORDS)
    )
    one = without_examples(WORDS, ["ranked"])
    assert source_of(one, find(one, "shout")) == source_of(WORDS, find(WORDS, "shout"))


@given(st.lists(st.sampled_from([">>> f(1)", "1", "", "    Some words.", "é ..."]), max_size=8))
def test_without_examples_the_file_is_python_and_says_no_example(lines):
    body = "\n".join(f"    {line}".rstrip() for line in lines)
    text = f'def f(x):\n    """Do it.\n{body}\n    """\n    return x\n'
    plain = without_examples(text, ["f"])
    assert ">>>" not in plain
    assert plain.startswith('def f(x):\n    """Do it.') and plain.endswith('"""\n    return x\n')
    assert ast.parse(plain)


@pytest.fixture(scope="module")
def mined(lexi, tmp_path_factory):
    options = MiningOptions(kinds=("doctest",), heldout=0.0)
    return mine(lexi, LIMITS, tmp_path_factory.mktemp("mined"), options, lambda *_: None)


def edit_of(repository, task, body):
    """A reply with the task's function, of this body."""
    code = f"```python\ndef {task.function}(text):\n{body}\n```"
    return from_reply(code, task, task.broken(repository.snapshot))


def named(mined, name):
    return next(task for task in mined.tasks if task.function == name)


@pytest.mark.slow
def test_what_is_mined(lexi, mined):
    assert {t.function for t in mined.tasks} == {"shout", "ranked", "told_elsewhere"}
    assert {t.kind for t in mined.tasks} == {"doctest"}
    shout = named(mined, "shout")
    assert len(shout.FAIL_TO_PASS) == 4 and shout.hard and shout.noticed >= 0.5
    assert shout.told_in == () and named(mined, "told_elsewhere").told_in == (
        "PKG-INFO",
        "README.md",
    )
    few = "the tests that were made for it notice too few mistakes in it"
    assert mined.left_out[few] == ["doctest-lexi.words.vague"]
    assert not any((lexi.snapshot / path).exists() for path in given_tests(mined.tasks))


@pytest.mark.slow
def test_no_example_of_a_hidden_test_is_shown(lexi, mined):
    for task in mined.tasks:
        prompt = build(task, lexi.snapshot, "blocks", Budget.estimated(4096))
        text = prompt.messages[0]["content"]
        shown = sources_of_tests(task.shown, lexi.snapshot, task.test_files)
        hidden = set(task.tests) - set(task.shown)
        assert shown and hidden and all(source in text for source in shown)
        broken = task.broken(lexi.snapshot)["lexi/words.py"]
        assert ">>>" not in source_of(broken, find(broken, task.function))
        for source in sources_of_tests(hidden, lexi.snapshot, task.test_files):
            assert source.rpartition("assert ")[2] not in text
    assert (
        "HELLO"
        not in build(
            replace(named(mined, "shout"), shown=()),
            lexi.snapshot,
            "blocks",
            Budget.estimated(4096),
        ).messages[0]["content"]
    )


@pytest.mark.slow
def test_verdicts(lexi, mined):
    """The code, mistakes, what is shown by heart, and who reads the tests."""
    task = named(mined, "told_elsewhere")
    (path,) = task.test_files

    def edit(body):
        return edit_of(lexi, task, body)

    by_heart = "    return {'one two': ['n', 'tw'], 'secretly hidden': ['scrtly', 1]}.get(text)"
    reads = (
        "    import ast, pathlib\n"
        f"    for place in ('{path}', 'README.md', 'PKG-INFO'):\n"
        "        for line in pathlib.Path(place).read_text().split('\\n'):\n"
        "            if repr(text).strip(\"'\") in line and '==' in line:\n"
        "                return ast.literal_eval(line.partition('==')[2].strip())\n"
        "    return ['scrtly', 'hddn'] if 'secret' in text else ['n', 'tw']"
    )
    rewrites = (
        "    import pathlib\n"
        f"    pathlib.Path('{path}').write_text('def test_README_md_2(): pass')\n"
        "    return []"
    )
    with Judge(lexi, LIMITS, mined.survey.suite(given_tests(mined.tasks))) as judge:
        gold = judge.judge(task, task.gold(lexi.snapshot))
        assert gold.status == "resolved" and set(gold.tests) == set(task.tests)
        for body in (by_heart, reads, rewrites, "    return text.split()"):
            assert judge.judge(task, edit(body)).status in ("failed", "tampered"), body
        honest = edit(
            "    return [''.join(c for c in w if c not in 'aeiou') for w in text.split()]"
        )
        assert judge.judge(task, honest).status == "resolved"
        with pytest.raises(InvalidEdit):
            gate({path: "def test_README_md_2(): pass\n"}, task, lexi.snapshot)
        seen = judge.sources_of(task)
        assert not {"README.md", path} & seen.keys()
        assert "README.md" in judge.sources_of(named(mined, "shout"))
        other = read_text(lexi.snapshot / "lexi/words.py")
        assert seen["lexi/words.py"] != other and "secretly" not in str(seen)


@pytest.mark.slow
def test_shown_examples_run_where_no_other_is(lexi, mined):
    """An edit that says all that it can read says nothing of the hidden tests."""
    task = named(mined, "told_elsewhere")
    reads = (
        "    import pathlib\n"
        "    said = [p.read_text() for p in sorted(pathlib.Path('.').rglob('*')) if p.is_file()\n"
        "            and p.suffix in ('.py', '.md', '')]\n"
        "    raise ValueError('\\n'.join(said))"
    )
    edit = edit_of(lexi, task, reads)
    with Judge(lexi, LIMITS, mined.survey.suite(given_tests(mined.tasks))) as judge:
        shown = judge.run_shown(task, gate(edit, task, lexi.snapshot))
        assert shown.is_told and set(shown.failing) == set(task.shown)
        said = "".join(shown.text.values())
        assert "ValueError" in said and "def told_elsewhere" in said
        shown_sources = str(sources_of_tests(task.shown, lexi.snapshot, task.test_files))
        hidden = {"scrtly", "tw", "nsn"} - {
            w for w in ("scrtly", "tw", "nsn") if w in shown_sources
        }
        assert len(hidden) == 2 and not any(f"'{word}'" in said for word in hidden)
        assert judge.run_shown(task, task.gold(lexi.snapshot)).failing == ()
