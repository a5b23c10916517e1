"""Patches: ours, made and applied, there and back, and strict; and those of people, as they are."""

import difflib
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import patches
from tests.conftest import git, make_repo

LINES = st.lists(
    st.sampled_from(["a", "b", "", "-- x", "++ y", "@@ -1 +1 @@", "\x0c", "é"]), max_size=12
)
TEXTS = st.builds(
    lambda lines, end: "\n".join(lines) + ("\n" if end and lines else ""), LINES, st.booleans()
)


@given(TEXTS, TEXTS)
def test_there_and_back(before, after):
    if before == after:
        return
    patch = patches.make(before, after, "m.py")
    assert patches.apply({"m.py": before}, patch) == {"m.py": after}
    assert patches.apply({"m.py": after}, patch, reverse=True) == {"m.py": before}


def test_context_must_match_where_the_patch_says():
    patch = patches.make("a\nb\nc\n", "a\nB\nc\n", "m.py")
    with pytest.raises(patches.PatchError, match="does not apply to m.py at line 1"):
        patches.apply({"m.py": "x\na\nb\nc\n"}, patch)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "--- a/m.py\n+++ b/m.py\n",
        "--- a/m.py\n+++ b/m.py\n@@ -1,3 +1,3 @@\n a\n",
        "@@ -1 +1 @@\n-a\n+b\n",
        "--- a/m.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
    ],
)
def test_what_is_no_patch(text):
    with pytest.raises(patches.PatchError):
        patches.apply({"m.py": "a\n"}, text)


# --------------------------------------------------------------------------------- those of people

OLD = "".join(f"def f{i}(x):\n    return x + {i}\n\n\n" for i in range(12))
NEW = OLD.replace("x + 3\n", "x * 3\n    # more\n").replace("x + 9\n", "9\n")
PATH = "pkg/m.py"


def applied(patch: str, old: str = OLD, path: str = PATH, files: tuple[str, ...] = (PATH,)) -> str:
    """The one file that the patch is about, with it."""
    (section,) = patches.sections(patch)
    assert section.path(set(files).__contains__) == path
    return patches.fit(old, section.hunks, path)


def refused(patch: str, old: str = OLD, files: tuple[str, ...] = (PATH,)) -> str:
    """The sentence."""
    with pytest.raises(patches.PatchError) as error:
        for section in patches.sections(patch):
            patches.fit(old, section.hunks, section.path(set(files).__contains__))
    return str(error.value)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work tree in which one file is changed; ORIG_HEAD is a commit that changed it so."""
    root = make_repo(tmp_path_factory.mktemp("work"), {PATH: OLD, "pkg/n.py": OLD})
    (root / PATH).write_text(NEW)
    git(root, "commit", "-qam", "Mend it\n\n--- this is prose\nrename from here to there\n")
    git(root, "reset", "-q", "--mixed", "HEAD~1")
    return root


GIT = {
    "plain": ["diff"],
    "mnemonic": ["-c", "diff.mnemonicPrefix=true", "diff"],
    "mnemonic, to a commit": ["-c", "diff.mnemonicPrefix=true", "diff", "HEAD"],
    "no prefix": ["-c", "diff.noprefix=true", "diff"],
    "other prefixes": ["diff", "--src-prefix=old/", "--dst-prefix=new/"],
    "two files": ["-c", "diff.mnemonicPrefix=true", "diff", "--no-index", "pkg/n.py", PATH],
    "colours": ["diff", "--color=always"],
    "colours of one's own": [
        "-c",
        "color.diff.meta=normal",
        "-c",
        "color.diff.context=cyan",
        "-c",
        "color.diff.frag=normal",
        "diff",
        "--color=always",
    ],
    "moved lines": ["diff", "--color=always", "--color-moved"],
    "no context": ["diff", "-U0"],
    "one line": ["diff", "-U1"],
    "everything": ["diff", "-U999"],
    "functions": ["diff", "-W"],
    "a commit": ["show", "ORIG_HEAD"],
    "a log": ["log", "-p", "-1", "ORIG_HEAD"],
    "an e-mail": ["format-patch", "--stdout", "-1", "ORIG_HEAD"],
    "statistics, too": ["diff", "--patch-with-stat", "--summary", "--full-index"],
}


@pytest.mark.parametrize("form", GIT)
def test_what_git_writes(work, form):
    done = subprocess.run(["git", *GIT[form]], cwd=work, capture_output=True, text=True)
    assert applied(done.stdout) == NEW, done.stderr


@pytest.mark.parametrize("form", ["two files", "two folders", "stamps", "svn"])
def test_what_other_programs_write(tmp_path, form):
    for folder, text in (("old/pkg", OLD), ("new/pkg", NEW)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "m.py").write_text(text)
    names = ["old/pkg/m.py", "new/pkg/m.py"]
    if form == "two files":
        (tmp_path / "pkg").mkdir()
        (tmp_path / PATH).write_text(NEW)
        (tmp_path / f"{PATH}.orig").write_text(OLD)
        names = [f"./{PATH}.orig", f"./{PATH}"]
    done = subprocess.run(
        [
            "diff",
            "-ru" if form == "two folders" else "-u",
            *(["old", "new"] if form == "two folders" else names),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    patch = done.stdout
    if form == "stamps":  # as a terminal gives it back
        patch = patch.replace("\t", "        ")
    if form == "svn":
        patch = re.sub(r"^(---|\+\+\+) .*", rf"\1 {PATH}   (revision 7)", patch, flags=re.MULTILINE)
    assert done.returncode == 1 and applied(patch) == NEW


PLAIN = patches.make(OLD, NEW, PATH)
NAMES = f"--- a/{PATH}\n+++ b/{PATH}\n"


@pytest.mark.parametrize(
    "around",
    [
        "Here:\n```diff\n{}```\nDone.\n",
        "~~~\n{}\n~~~",
        "{}-- \n2.39.5\n\n",
        "\n\n{}\n\n\n",
        "From: me\nSubject: x\n\n---\n pkg/m.py | 3 ++-\n 1 file changed\n\n{}",
        "--- a heading\nIt is +++ good.\n{}@@ and that is that\n",
        "\ufeff{}",
        "{}Done:\n\\ no newline\n",
    ],
)
def test_words_around_it(around):
    assert applied(patches.text_of(around.format(PLAIN).encode())) == NEW


def test_what_a_shell_of_windows_writes():
    """In UTF-16, with CRLF."""
    data = PLAIN.replace("\n", "\r\n").encode("utf-16")
    assert applied(patches.text_of(data)) == NEW
    assert patches.text_of(b"caf\xe9") == "caf\udce9"


CRLF_OLD, CRLF_NEW = OLD.replace("\n", "\r\n"), NEW.replace("\n", "\r\n")


@pytest.mark.parametrize("width", [0, 3])
@pytest.mark.parametrize("file", ["LF", "CRLF"])
@pytest.mark.parametrize("patch", ["as git writes it", "LF", "CRLF"])
def test_line_ends_of_the_file_are_kept(work, width, file, patch):
    """Whatever the patch has been through on its way."""
    old, new = (OLD, NEW) if file == "LF" else (CRLF_OLD, CRLF_NEW)
    text = "".join(
        difflib.unified_diff(
            old.splitlines(True), new.splitlines(True), f"a/{PATH}", f"b/{PATH}", n=width
        )
    )
    if patch != "as git writes it":
        text = text.replace("\r\n", "\n").replace("\n", "\r\n" if patch == "CRLF" else "\n")
    assert applied(text, old) == new
    # Lines that are added without any context, too.
    more = f"{NAMES}@@ -1,0 +2 @@\n+    # one\n"
    more = more.replace("\n", "\r\n" if patch == "CRLF" else "\n")
    end = patches.line_end(old)
    assert applied(more, old) == old.replace(f"f0(x):{end}", f"f0(x):{end}    # one{end}")


def test_a_patch_of_line_ends():
    """Where everything is as the patch has it, it is done to the letter."""
    patch = f"{NAMES}@@ -1,2 +1,2 @@\n-def f0(x):\n+def f0(x):\r\n     return x + 0\n"
    assert applied(patch) == OLD.replace("def f0(x):\n", "def f0(x):\r\n")


def test_lines_of_both_ends_stay():
    old = CRLF_OLD.replace("def f3(x):\r\n", "def f3(x):\n")
    assert applied(PLAIN, old) == CRLF_NEW.replace("def f3(x):\r\n", "def f3(x):\n")


def moved(patch: str, by: int) -> str:
    return re.sub(
        r"@@ -(\d+)(\S*) \+(\d+)(\S*) @@",
        lambda m: f"@@ -{int(m[1]) + by}{m[2]} +{int(m[3]) + by}{m[4]} @@",
        patch,
    )


@pytest.mark.parametrize("by", [-3, 2, 1000])
@pytest.mark.parametrize("above", ["", "import os\n\n\n"])
def test_a_place_that_has_moved(by, above):
    assert applied(moved(PLAIN, by), above + OLD) == above + NEW


def test_a_place_that_is_not_certain():
    old = "def f(x):\n    a = 1\n    return x\n\n\n" * 3
    patch = f"{NAMES}@@ -6,2 +6,2 @@\n def f(x):\n-    a = 1\n+    a = 2\n"
    assert applied(patch, old).split("\n")[6] == "    a = 2", "where it says, there it is"
    said = refused(moved(patch, 1), old)
    assert "at line 7: its lines stand there in 3 places (lines 1, 6, 11)" in said
    assert "-U10" in said


def test_places_in_another_order():
    head, first, second = re.split("(?=^@@)", PLAIN, flags=re.MULTILINE)
    assert applied(head + second + first) == NEW
    assert f"changes line 11 of {PATH} twice" in refused(head + first + second + first)


def test_lines_without_context_that_may_have_moved():
    patch = NAMES + "@@ -2 +2 @@\n-    return x + 0\n+    return 0\n@@ -5,0 +6 @@\n+    # one\n"
    assert applied(patch).split("\n")[5] == "    # one"
    assert "no line of context" in refused(patch, "import os\n" + OLD)
    assert "the file has 3 lines" in refused(NAMES + "@@ -9,0 +10 @@\n+x\n", "a\nb\nc\n")


@pytest.mark.parametrize(
    "old, says",
    [
        (
            OLD.replace("x + 3", "x - 3"),
            "line 14 is '    return x - 3' and in the patch '    return x + 3'",
        ),
        (OLD.replace("def f3", "def  f3"), "only blanks differ"),
        (NEW, "is it the wrong way round?"),
        (OLD[:60], "the file has"),
        ("", "the file has 0 lines"),
    ],
)
def test_content_is_never_guessed(old, says):
    said = refused(PLAIN, old)
    assert said.startswith(f"the patch does not apply to {PATH} at line ") and says in said


def test_a_line_to_take_out_that_is_not_there():
    assert "line 2 is '    return x + 0' and in" in refused(NAMES + "@@ -2 +1,0 @@\n-    no\n")


@pytest.mark.parametrize(
    "before, after",
    [
        ("a\nb", "a\nc"),
        ("a\nb", "a\nb\n"),
        ("a\nb\n", "a\nb"),
        ("a", "a\nb"),
        ("", "a"),
        ("a\r\nb", "a\r\nc"),
    ],
)
@pytest.mark.parametrize("mark", [patches.NO_NEWLINE, "\\ Kein Zeilenumbruch am Dateiende."])
def test_a_last_line_without_an_end(before, after, mark):
    patch = patches.make(before, after, PATH).replace(patches.NO_NEWLINE, mark)
    assert applied(patch, before) == after
    assert applied(patch.replace("\n", "\r\n"), before) == after, "in CRLF"


def test_a_last_line_that_would_not_be_the_last():
    patch = f"{NAMES}@@ -1,0 +2 @@\n+b\n{patches.NO_NEWLINE}\n"
    assert "would stand within it" in refused(patch, "a\nc\n")
    assert "would stand within it" in refused(patch.replace(f"{patches.NO_NEWLINE}\n", ""), "a")


def test_blank_lines_that_were_lost_on_the_way():
    """Editors take the blank of an empty line of context, and a shell the last lines."""
    old, new = "a\nb\n\n\nc\n\n\n\nd\n", "a\nB\n\n\nc\n\n\n\nd\n"
    patch = patches.make(old, new, PATH)
    assert "\n \n" in patch and applied(re.sub("^ $", "", patch, flags=re.M), old) == new
    crlf = patches.make(old.replace("\n", "\r\n"), new.replace("\n", "\r\n"), PATH)
    assert "\n \r\n" in crlf
    lost = crlf.replace("\n \r", "\n\r")
    assert applied(lost, old.replace("\n", "\r\n")) == new.replace("\n", "\r\n")
    short = patches.make(old[:6], new[:6], PATH)
    assert short.endswith("\n \n \n")
    for ending in ("", "\n", "\n```\nwords\n"):
        assert applied(short.rstrip() + ending, old[:6]) == new[:6]
    for count in (1, 2):  # these were not blank
        lines = PLAIN.split("\n")[: -count - 1]
        assert "is cut off" in refused("\n".join([*lines, ""]))
        assert "is cut off" in refused("\n".join(lines))


HEAD = f"diff --git a/{PATH} b/{PATH}\n"


@pytest.mark.parametrize(
    "patch, says",
    [
        (
            HEAD + "similarity index 90%\nrename from pkg/m.py\nrename to pkg/o.py\n" + PLAIN,
            "renames a file (line 3",
        ),
        (HEAD + "similarity index 100%\ncopy from pkg/m.py\ncopy to pkg/o.py\n", "copies a file"),
        (HEAD + "old mode 100644\nnew mode 100755\n" + PLAIN, "changes the mode of a file (line 2"),
        (HEAD + "old mode 100644\r\nnew mode 100755\r\n", "changes the mode"),
        (
            HEAD + "index 1..2 100644\nBinary files a/x and b/x differ\n" + PLAIN,
            "does not show (line 3: Binary",
        ),
        (HEAD + "index 1..2 100644\nGIT binary patch\nliteral 3\n", "changes a binary file"),
        (HEAD + "new file mode 100644\nindex 000..123\n", "creates a file"),
        ("--- /dev/null\n+++ b/pkg/new.py\n@@ -0,0 +1 @@\n+x\n", "creates pkg/new.py"),
        (f"--- a/{PATH}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n", f"deletes {PATH}"),
        (HEAD + "deleted file mode 100644\nindex 123..000\n", "deletes a file"),
        (PLAIN + "Submodule lib 1234567..89abcde:\n  > more\n", "does not show"),
        (f"diff --cc {PATH}\n{NAMES}@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n++c\n", "merge"),
        (f"*** {PATH}\t2024\n--- {PATH}\t2024\n***************\n*** 1,2 ****\n", "context diff"),
        ("3c3\n< a\n---\n> b\n", "diff -u"),
        ("@@ -1 +1 @@\n-a\n+b\n", "hunk without a file"),
        (NAMES + "@@ ... @@\n-a\n+b\n", "does not say which lines"),
        (PLAIN.replace("@@ -11,7", "@@ -11,9"), "more or fewer lines than it says"),
        (NAMES + "@@ -1,999999999 +1,999999999 @@\n-a\n+b\n", "more or fewer lines"),
        (
            PLAIN.replace("-    return x + 3", "-    return x + 3\n-    # gone"),
            "more or fewer lines",
        ),
        (re.sub("^", "    ", PLAIN, flags=re.M), "indented or quoted"),
        (re.sub("^", "> ", PLAIN, flags=re.M), "indented or quoted"),
        (f"--- a/{PATH}\n+++ b/pkg/n.py\n@@ -1 +1 @@\n-a\n+b\n", "two names for a file"),
        ("", "not a complete unified diff"),
        (NAMES, "not a complete unified diff"),
    ],
)
def test_what_is_not_taken_is_said(patch, says):
    assert says in refused(patch, files=(PATH, "pkg/n.py"))


@pytest.mark.parametrize(
    "old, new, files, path",
    [
        ("a/pkg/m.py", "b/pkg/m.py", ["pkg/m.py"], "pkg/m.py"),
        ("b/m.py", "b/m.py", ["b/m.py", "m.py"], "b/m.py"),  # no prefix, and a folder b
        ("a/m.py", "b/m.py", ["b/m.py", "m.py"], "m.py"),
        ("w/m.py", "w/m.py", ["m.py"], "m.py"),
        ("m.py", "m.py", ["m.py"], "m.py"),
        ("tests/m.py", "tests/m.py", ["m.py"], "tests/m.py"),  # for the gate to refuse
        ("x/tests/m.py", "y/tests/m.py", ["m.py"], "tests/m.py"),
        ("src/m.py", "tests/m.py", ["m.py", "tests/m.py"], "tests/m.py"),
        ("/etc/m.py", "/etc/m.py", ["m.py"], "/etc/m.py"),
        ("../m.py", "../m.py", ["m.py"], "../m.py"),
        ('"a/pkg/m.py"', '"b/pkg/m.py"', ["pkg/m.py"], "pkg/m.py"),
        ('"a/w\\303\\266r \\"t\\".py"', '"b/w\\303\\266r \\"t\\".py"', ["m.py"], 'wör "t".py'),
    ],
)
def test_which_file_is_meant(old, new, files, path):
    assert patches.Section(old, new).path(set(files).__contains__) == path


@pytest.mark.parametrize(
    "old, new, files",
    [
        ("src/m.py", "tests/m.py", ["src/m.py", "tests/m.py"]),
        ("m.py", "n.py", ["m.py", "n.py"]),
        ("x.py", "y.py", ["m.py"]),
    ],
)
def test_names_of_two_files(old, new, files):
    with pytest.raises(patches.PatchError, match="two names"):
        patches.Section(old, new).path(set(files).__contains__)


def test_an_encoded_e_mail_is_named():
    mail = "Content-Transfer-Encoding: quoted-printable\n\n" + PLAIN.replace("=", "=3D")
    assert "an e-mail that is quoted-printable; save it as plain text" in patches.hint(mail)
    assert patches.hint(PLAIN) == ""


@given(TEXTS, TEXTS, st.sampled_from([0, 1, 3]), st.booleans())
def test_a_persons_patch_is_ours_or_no_patch(before, after, width, crlf):
    """Where it is taken at its own lines it makes what was meant."""
    if before == after:
        return
    lines = [text.split("\n") for text in (before, after)]
    diff = difflib.unified_diff(*lines, "a/m.py", "b/m.py", n=width, lineterm="")
    ended = [line + "\n" for line in diff]
    text = "".join(ended).replace("\n", "\r\n" if crlf else "\n")
    (section,) = patches.sections(text)
    # What difflib takes for a last line without an end is one that has an end here.
    assert patches.fit(before + "\n", section.hunks, "m.py") == after + "\n"


SCRIBBLE = st.lists(
    st.sampled_from(
        [
            "--- a/m.py",
            "+++ b/m.py",
            "--- /dev/null",
            "@@ -1 +1 @@",
            "@@ -0,0 +1,2 @@",
            "@@ -2,9 +2,9 @@",
            "+x",
            "-a",
            " a",
            "",
            "\r",
            "\\ No newline",
            "diff --git a/m.py b/m.py",
            "index 1..2",
            "```",
            "\x1b[32m+x\x1b[m",
            '+++ "b/\\303.py"',
            "old mode 1",
            "words",
        ]
    ),
    max_size=14,
).map("\n".join)


@given(SCRIBBLE, TEXTS)
def test_whatever_is_in_a_patch_it_is_read_or_refused(patch, text):
    try:
        for section in patches.sections(patch):
            section.path({"m.py"}.__contains__)
            assert isinstance(patches.fit(text, section.hunks, "m.py"), str)
    except patches.PatchError as error:
        assert str(error)
