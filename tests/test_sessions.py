"""Old sessions of coding agents as a teacher: what they wrote is found whatever the format, and the
tests say which of it is right."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.teachers.sessions import candidates, read_sessions
from tests.conftest import run_cli
from tests.test_arc import last_line, lines
from tests.test_secrets import TOKEN
from tests.test_teacher_arc import is_taught, place, run  # noqa: F401

ADD = "def add(a, b):\n    return sum((a, b))"
UP = "    def up(self, by=1):\n        self.n = self.n + by\n        return self.n"
MEAN = "def mean(xs):\n    if not xs:\n        raise ValueError\n    return sum(xs) / len(xs)"
WHERE = "/home/me/calc/calc/core.py"


def claude(*calls: tuple[str, dict]) -> str:
    """A session of Claude Code."""
    records = [
        {
            "type": "user",
            "cwd": "/home/me/calc",
            "message": {"role": "user", "content": "Mend it."},
        },
        *(
            {
                "type": "assistant",
                "message": {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "I write it anew."},
                        {"type": "tool_use", "id": "t", "name": name, "input": given},
                    ],
                },
            }
            for name, given in calls
        ),
    ]
    return "".join(json.dumps(record) + "\n" for record in records)


def codex(patch: str, shell: bool) -> str:
    """A session of Codex CLI: the patch as a tool of its own, or in a shell command."""
    call = {"type": "custom_tool_call", "name": "apply_patch", "input": patch}
    if shell:
        arguments = json.dumps({"command": ["apply_patch", patch]})
        call = {"type": "function_call", "name": "shell", "arguments": arguments}
    records = [
        {"timestamp": "t", "type": "session_meta", "payload": {"cwd": "/home/me/calc"}},
        {"timestamp": "t", "type": "response_item", "payload": call},
    ]
    return "".join(json.dumps(record) + "\n" for record in records)


PATCH = f"""*** Begin Patch
*** Update File: calc/core.py
@@ class Counter:
     \"\"\"Counts.\"\"\"
-    def up(self, by=1):
-        pass
{chr(10).join('+' + line for line in UP.splitlines())}
@@
 def area(r):
+    return 0
*** End Patch"""
DIFF = f"""diff --git a/calc/core.py b/calc/core.py
--- a/calc/core.py
+++ b/calc/core.py
@@ -8,3 +8,4 @@ import math
-def mean(xs):
-    pass
{chr(10).join('+' + line for line in MEAN.splitlines())}
 
 
"""
WRITTEN = f"Next I write it.\n\n```bash\ncat <<'EOF' > calc/core.py\n{ADD}\nEOF\n```"
OTHERS = {
    "edit.jsonl": (
        claude(("Edit", {"file_path": WHERE, "old_string": "x", "new_string": ADD})),
        "add",
    ),
    "write.jsonl": (
        claude(("Write", {"file_path": WHERE, "content": f"import math\n\n{ADD}\n"})),
        "add",
    ),
    "several.jsonl": (
        claude(
            ("MultiEdit", {"file_path": WHERE, "edits": [{"old_string": "", "new_string": UP}]})
        ),
        "Counter.up",
    ),
    "codex.jsonl": (codex(PATCH, shell=False), "Counter.up"),
    "codex-shell.jsonl": (codex(PATCH, shell=True), "Counter.up"),
    "swe.traj": (json.dumps({"trajectory": [], "info": {"submission": DIFF}}), "mean"),
    "mini.json": (
        json.dumps(
            {"info": {"submission": ""}, "messages": [{"role": "assistant", "content": WRITTEN}]}
        ),
        "add",
    ),
}
SOURCES = {"add": ADD, "mean": MEAN, "Counter.up": UP.replace("\n    ", "\n").removeprefix("    ")}


def task(function: str, **more):
    return SimpleNamespace(**{"file": "calc/core.py", "files": (), "function": function, **more})


@pytest.mark.parametrize("name", OTHERS)
def test_what_an_agent_wrote_is_found(name, tmp_path):
    text, function = OTHERS[name]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text(text)
    pieces = read_sessions(tmp_path)
    assert candidates(task(function), pieces) == [SOURCES[function]]
    assert candidates(task(function, file="other/core.py"), pieces) == []
    assert candidates(task(function, files=("calc/core.py",)), pieces) == []
    assert candidates(task("area2"), pieces) == []


def test_the_latest_is_tried_first_and_each_once(tmp_path):
    for number, code in enumerate((ADD, ADD.replace("sum((a, b))", "a + b"), ADD)):
        given = {"file_path": WHERE, "old_string": "", "new_string": code}
        (tmp_path / f"{number}.jsonl").write_text(claude(("Edit", given)))
    found = candidates(task("add"), read_sessions(tmp_path))
    assert found == [ADD, ADD.replace("sum((a, b))", "a + b")]


def test_what_is_no_session_is_passed_over(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"type": "user"\nno json\n[1, 2]\n"text"\n')
    (tmp_path / "b.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "c.traj").write_text("[" * 100_000)
    (tmp_path / "d.json").write_text(
        json.dumps({"path": 3, "edits": 4, "submission": "+++ b/x\n+y"})
    )
    (tmp_path / "notes.txt").write_text(WRITTEN)
    assert all(piece.path == "x" for piece in read_sessions(tmp_path))


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda of: (
            st.lists(of)
            | st.dictionaries(
                st.sampled_from(
                    ["path", "file_path", "content", "edits", "submission", "new_string"]
                ),
                of,
            )
        ),
    )
)
def test_nothing_in_a_session_stops_the_reading(tmp_path_factory, record):
    folder = tmp_path_factory.mktemp("sessions")
    (folder / "x.json").write_text(json.dumps(record))
    for piece in read_sessions(folder):
        candidates(task("add", file=piece.path or "x"), [piece])


@pytest.mark.slow
def test_from_old_sessions_to_a_distilled_student(run, tmp_path):  # noqa: F811
    """Right answers are learned, wrong ones and one with a secret are not."""
    folder: Path = tmp_path / "sessions"
    folder.mkdir()
    wrong = ADD.replace("sum((a, b))", "a - b")
    secret = MEAN.replace("ValueError", "ValueError('" + TOKEN + "')")
    calls = [
        ("Edit", {"file_path": WHERE, "old_string": "", "new_string": code})
        for code in (secret, ADD, UP, wrong)
    ]
    (folder / "s.jsonl").write_text(claude(*calls))
    named = ["--run", "run", "--teacher", f"sessions:{folder}"]
    refused = run_cli("bootstrap", *named, cwd=tmp_path, check=2)
    assert "The model that wrote these sessions belongs to somebody else" in refused.stderr
    done = run_cli("bootstrap", *named, "--terms-acknowledged", "--json", cwd=tmp_path, check=None)
    told = last_line(done)["teacher"]
    assert "4 pieces of files were written in the sessions" in done.stderr and is_taught(run)
    taught = [t for t in lines(run / "trajectories.jsonl") if t["source"] == "teacher"]
    cold = {r["instance_id"] for r in lines(run / "tasks.jsonl") if r["split"] == "train"}
    right = {n for n in cold if n.endswith(("core.add", "core.Counter.up"))}
    assert {t["instance_id"] for t in taught} == right and right
    assert (told["name"], told["requests"], told["verified"]) == ("sessions", 0, len(right))
