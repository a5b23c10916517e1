"""Patches: made and applied, there and back, and strict."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import patches

LINES = st.lists(st.sampled_from(["a", "b", "", "-- x", "++ y", "@@ -1 +1 @@", "\x0c", "é"]), max_size=12)
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + ("\n" if end and lines else ""), LINES, st.booleans())


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


@pytest.mark.parametrize("text", ["", "hello", "--- a/m.py\n+++ b/m.py\n", "--- a/m.py\n+++ b/m.py\n@@ -1,3 +1,3 @@\n a\n",
                                  "@@ -1 +1 @@\n-a\n+b\n", "--- a/m.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"])
def test_what_is_no_patch(text):
    with pytest.raises(patches.PatchError):
        patches.apply({"m.py": "a\n"}, text)
