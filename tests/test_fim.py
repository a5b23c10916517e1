"""Fill-in-the-middle: what is shown and read, the tokens of each family, what an export tells other
programs, and one run from its first probe to an editor's request.

`/infill` is asked of llama.cpp's `llama-server`, which no package of the requirements brings: where
none is installed that one test is left out. The server of llama.cpp's Python package is asked in
any case, with the text that Ollama makes by the Modelfile's template.
"""

import json
import random
import re
import urllib.request
from dataclasses import replace
from pathlib import Path

import gguf
import llama_cpp
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import coldstart
from recipes import events
from recipes.exports.model import modelfile
from recipes.exports.model_card import card
from recipes.exports.prompts import prompt_facts, write_prompts
from recipes.learning.fim import FAMILIES, PIPED, PLAIN, fim_tokens, halves
from recipes.learning.gguf_student import convert
from recipes.learning.tokens import budget_of, open_tokenizer
from recipes.nano import fim_student, nano_data
from recipes.rollouts.file_engine import Files, FileStudent
from recipes.rollouts.gguf import base_digest, write_base
from recipes.runfolder.run import Run
from recipes.session import Session, open_judge
from recipes.settings import from_dict, load
from recipes.teachers.ledger import NOT_COUNTED, Reply
from recipes.teachers.student_format import StudentFormat
from sandbox.episode import judge_reply
from sandbox.errors import UsageError
from sandbox.judge.edits import from_reply
from sandbox.judge.gate import InvalidEdit, gate
from sandbox.source import blanked, find, parse
from sandbox.tasks.fim import Around
from sandbox.tasks.prompts import Budget, build, unaskable
from sandbox.tasks.styles import PREFIX, SUFFIX
from sandbox.tasks.task import Task
from tests.serving import infilling, served
from tests.test_nano import make_small
from tests.test_prompts import FILLING, MANY, files, long_task, shop  # noqa: F401
from tests.tiny import load_tiny, make_tiny, make_tokenizer, tiny_recipe
from tests.written_run import write_run

TEXT = '''"""A module."""

LIMIT = 4


class Cart:
    """Things."""

    def total(self, percent=0):
        """Return what all cost."""
        # in cents
        return self.sum * 2

    def near(self):
        return self.total()


def far():
    return 1
'''
PREFIX_TEXT, SUFFIX_TEXT = TEXT.split("        # in cents\n        return self.sum * 2")


def task_of(tmp_path: Path, gold: str, broken: str, function: str = "Cart.total", **more) -> Task:
    return long_task(tmp_path, {"a.py": broken}, {"a.py": gold}, function=function, **more)


@pytest.fixture
def mutated(tmp_path) -> Task:
    """A task whose function has a mistake in its body."""
    return task_of(tmp_path, TEXT, TEXT.replace("* 2", "* 3"), kind="mutate")


# ---- what is shown -------------------------------------------------------------------------------


def test_the_file_is_shown_without_the_body_whatever_that_is(mutated, tmp_path):
    blank = task_of(tmp_path, TEXT, blanked(TEXT, find(TEXT, "Cart.total")), kind="blank")
    for task in (mutated, blank):
        prompt = build(task, tmp_path, "fim", Budget.estimated(1000))
        assert prompt.messages == [
            {"role": "prefix", "content": PREFIX_TEXT},
            {"role": "suffix", "content": SUFFIX_TEXT},
        ]
        assert prompt.extent == "whole" and PREFIX_TEXT + "<middle>" + SUFFIX_TEXT == prompt.text


def test_of_a_long_file_the_nearest_lines_are_shown(tmp_path):
    gold = FILLING + "def wanted():\n    return 'yes'\n\n\n" + FILLING
    task = task_of(tmp_path, gold, gold.replace("'yes'", "'no'"), "wanted")
    prompt = build(task, tmp_path, "fim", Budget.estimated(2000))
    prefix, suffix = (message["content"] for message in prompt.messages)
    assert prompt.extent == "part" and 1800 < prompt.tokens <= 2000
    assert gold.partition("    return 'yes'")[0].endswith(prefix) and "def wanted" in prefix
    assert gold.partition("return 'yes'")[2].startswith(suffix) and suffix.endswith("\n")
    assert 2 * len(suffix) < len(prefix) < 4 * len(suffix)


def test_where_there_is_little_on_one_side_the_other_has_the_room(tmp_path):
    gold = FILLING + "def wanted():\n    return 'yes'\n"
    task = task_of(tmp_path, gold, gold.replace("'yes'", "'no'"), "wanted")
    end = build(task, tmp_path, "fim", Budget.estimated(2000))
    assert end.messages[1]["content"] == "\n" and end.tokens > 1800
    gold = "def wanted():\n    return 'yes'\n\n\n" + FILLING
    task = task_of(tmp_path, gold, gold.replace("'yes'", "'no'"), "wanted")
    start = build(task, tmp_path, "fim", Budget.estimated(2000))
    assert start.messages[0]["content"] == "def wanted():\n" and start.tokens > 1800


def test_only_what_a_body_mends_is_asked(tmp_path, mutated):
    signature = task_of(tmp_path, TEXT, TEXT.replace("percent=0", "percent=1"))
    several = replace(mutated, files=("a.py",), functions=("a.py::Cart.total",))
    failing = replace(mutated, patch="")
    for task, why in (
        (mutated, None),
        (failing, None),
        (signature, "Mended by more than a body"),
        (several, "Not about one function"),
    ):
        (tmp_path / "a.py").write_text(TEXT)
        assert unaskable([task], lambda task: tmp_path, "fim").get("t") == why
        assert unaskable([task], lambda task: tmp_path, "body") == {}
    assert build(several, tmp_path, "fim", Budget.estimated(1000)) is None


@pytest.mark.slow
def test_tasks_of_every_kind(shop):  # noqa: F811
    tree, tasks = shop
    cannot = unaskable(tasks, lambda task: tree, "fim")
    asked = {t.kind for t in tasks if t.instance_id not in cannot}
    assert asked >= {"blank", "mutate"} and "compose" not in asked
    assert all(bool(t.files) == (t.instance_id in cannot) for t in tasks if t.kind != "revert")


# ---- what is read --------------------------------------------------------------------------------


def read(task: Task, tree: Path, reply: str) -> str:
    edit = from_reply(reply, task, task.broken(tree), "fim")
    return gate(edit, task, tree)[task.file]


def test_a_reply_stands_where_the_body_was_to_the_letter(mutated, tmp_path):
    middle = "        # in cents\n        return self.sum * 2"
    assert read(mutated, tmp_path, middle) == TEXT
    for said in (middle, f"{middle}\n", f"\n{middle}\n    # so", "        pass"):
        edit = from_reply(said, mutated, mutated.broken(tmp_path), "fim")
        assert edit == {"a.py": TEXT.replace(middle, said)}


@pytest.mark.parametrize(
    "reply, why",
    [
        ("", "empty"),
        ("\n  ", "empty"),
        ("return 1", "does not parse"),
        ("    return 1", "not the body"),
        ("```python\n        return 1\n```", "does not parse"),
        ("<think>\nIt.\n</think>\n        return 1", "does not parse"),
        ("        return 1\n\n    def more(self):\n        return 2", "goes on"),
        ("        return 1\n\n    size = 3", "goes on"),
        ("        return 1\n\n    def total(self):\n        return 2", "not the body"),
        ("        return 1\n\n\nx = 1", "does not parse|not the body"),
        ('        x = """', "does not parse"),
        ("        # nothing", "does not parse|not the body"),
        ("        if self:", "does not parse|not the body"),
    ],
)
def test_what_is_no_body_is_no_edit(mutated, tmp_path, reply, why):
    with pytest.raises(InvalidEdit, match=why):
        read(mutated, tmp_path, reply)


def test_a_string_that_swallows_the_next_function_is_no_body(tmp_path):
    gold = 'def wanted():\n    return 1\n\n\ndef other():\n    """Other."""\n    return 2\n'
    task = task_of(tmp_path, gold, gold.replace("return 1", "return 0"), "wanted")
    with pytest.raises(InvalidEdit):
        read(task, tmp_path, '    """')


def test_line_ends_of_the_file_are_kept(tmp_path):
    gold = TEXT.replace("\n", "\r\n")
    task = task_of(tmp_path, gold, gold.replace("* 2", "* 3"))
    (tmp_path / "a.py").write_bytes(gold.encode())
    prompt = build(task, tmp_path, "fim", Budget.estimated(1000))
    assert "\r" not in prompt.text
    middle = "        # in cents\n        return self.sum * 2"
    assert from_reply(middle, task, task.broken(tmp_path), "fim") == {"a.py": gold}


def test_a_body_beside_its_signature(tmp_path):
    line, lines = "def wanted(): return 1\n", "def wanted():\n    return 1\n"
    for gold, broken, middle in (
        (line, line.replace("1", "0"), "return 1"),
        (line, lines.replace("1", "0"), "    return 1"),
        (lines, line.replace("1", "0"), "\n    return 1"),
    ):
        around = Around.of(broken, "wanted")
        assert around.middle_of(gold) == middle
        assert parse(around.filled(middle)).body and "return 1" in around.filled(middle)
        task = task_of(tmp_path, gold, broken, "wanted")
        assert unaskable([task], lambda task: tmp_path, "fim") == {}


@MANY
@given(files(), st.sampled_from(["    pass", "    return 0", "    x = [\n1]\n    return x"]))
def test_whatever_body_is_taken_out_the_right_one_fits(made, other):
    text, name = made
    indent = find(text, name).indent
    middle = "\n".join(indent + line if line[:1] == " " else line for line in other.split("\n"))
    around = Around.of(text, name)
    broken = around.filled(middle)
    again = Around.of(broken, name)
    assert (again.prefix, again.suffix) == (around.prefix, around.suffix)
    assert again.filled(again.middle_of(text)) == text
    assert again.middle_of(broken) == middle


def test_a_teachers_answer_becomes_a_middle(mutated, tmp_path):
    student = StudentFormat("fim", {"t": [{"role": PREFIX, "content": ""}]})
    answer = (
        "So:\n\n```python\ndef total(self, percent=0):\n    x = 2\n    return self.sum * x\n```\n"
    )
    content = student.content(mutated, Reply(answer, "", "stop", *NOT_COUNTED), tmp_path)
    assert content == "        x = 2\n        return self.sum * x"
    assert read(mutated, tmp_path, content).count("\n        x = 2\n") == 1


# ---- the tokens ----------------------------------------------------------------------------------


def tokenizer_with(texts, begin: str | None = None):
    """A byte-level tokenizer with these special tokens; `begin` comes before every text."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(texts)})
    if begin:
        tokenizer.add_special_tokens({"bos_token": begin})
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.bos_token_id)]
        )
    return tokenizer


def student_with(folder: Path, texts, begin: str | None = None, style: str = "fim"):
    make_tiny(folder, vocab=400)
    tokenizer_with(texts, begin).save_pretrained(folder)
    return load_tiny(folder, recipe=tiny_recipe(prompt={"style": style}))


MESSAGES = [{"role": PREFIX, "content": PREFIX_TEXT}, {"role": SUFFIX, "content": SUFFIX_TEXT}]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.models)
def test_a_family_is_known_by_its_tokens(family):
    names = [family.prefix, family.suffix, family.middle, family.end, *family.also]
    ids = {text: 10 + number for number, text in enumerate(dict.fromkeys(names))}
    found = fim_tokens(ids.get)
    assert found.family == family
    assert [found.prefix, found.suffix, found.middle] == [ids[text] for text in names[:3]]
    assert found.ends == tuple(ids[text] for text in names[3:])
    assert found.prompt([9], [1, 2], [3]) == [9, 10, 1, 2, 11, 3, 12]
    for text in names[:4]:
        assert fim_tokens({t: n for t, n in ids.items() if t != text}.get) is None


@pytest.mark.parametrize("begin", [None, "<bos>"])
def test_all_who_read_a_student_make_the_same_prompt(tmp_path, begin):
    texts = (*PLAIN, "<file_sep>", "<|endoftext|>")
    student = student_with(tmp_path / "model", texts, begin)
    messages = [
        {"role": PREFIX, "content": f"{PREFIX_TEXT}x = '<fim_middle><eos>'\n"},
        {"role": SUFFIX, "content": SUFFIX_TEXT},
    ]
    ids = student.prompt_ids(messages)
    assert ids == open_tokenizer(str(tmp_path / "model")).prompt_ids(messages)
    write_base(student, tmp_path / "base.gguf")
    stored = FileStudent(Files(tmp_path / "base.gguf", None, student.end_ids))
    assert ids == stored.prompt_ids(messages)
    marks = [student.tokens.tokenizer.convert_tokens_to_ids(text) for text in PLAIN]
    assert [i for i in ids if i in marks] == marks, "what the file says of tokens is text"
    first = [] if begin is None else [student.tokens.tokenizer.bos_token_id]
    assert ids[: len(first) + 1] == [*first, marks[0]] and ids[-1] == marks[2]
    assert Budget.of(student, 100).chat(messages) == len(ids)


def test_a_middle_ends_as_the_family_ends_it(tmp_path):
    texts = (*PIPED, "<|endoftext|>", "<|fim_pad|>", "<|file_sep|>")
    student = student_with(tmp_path / "fim", texts)
    named = {t: student.tokens.tokenizer.convert_tokens_to_ids(t) for t in (*texts, "<eos>")}
    ends = {named[text] for text in texts[3:]} | {named["<eos>"]}
    assert student.end_ids == ends
    assert student.completion_ids("x")[-1] == named["<|endoftext|>"]
    assert student.text([*student.completion_ids("x")[:-1], named["<|fim_pad|>"]]) == "x"
    chat = load_tiny(tmp_path / "fim", recipe=tiny_recipe())
    assert chat.end_ids == {named["<eos>"]}, "who is asked in another style ends as before"
    assert base_digest(chat) != base_digest(student)


def test_without_such_tokens_it_is_said(tmp_path):
    with pytest.raises(UsageError, match="no fill-in-the-middle tokens.*Qwen2.5-Coder"):
        load_tiny(make_tiny(tmp_path / "m"), recipe=tiny_recipe(prompt={"style": "fim"}))
    with pytest.raises(UsageError, match="no fill-in-the-middle tokens"):
        open_tokenizer(str(tmp_path / "m")).prompt_ids(MESSAGES)
    write_base(load_tiny(tmp_path / "m"), tmp_path / "base.gguf")
    stored = FileStudent(Files(tmp_path / "base.gguf", None, frozenset([1])))
    with pytest.raises(UsageError, match="no fill-in-the-middle tokens"):
        stored.prompt_ids(MESSAGES)


def test_it_has_one_turn():
    for settings in (["student.turns=3"], []):
        stages = {} if settings else {"stage": [{"name": "a", "turns": 2}]}
        recipe = load("nano", settings).to_dict() | stages
        recipe["prompt"]["style"] = "fim"
        with pytest.raises(UsageError, match="has one turn.*'student.turns' to 1"):
            from_dict(recipe)


# ---- what an export says -------------------------------------------------------------------------


def test_the_file_names_the_tokens_and_keeps_them_when_read_again(tmp_path):
    student = student_with(tmp_path / "model", (*PLAIN, "<|end_of_text|>"))
    write_base(student, tmp_path / "a.gguf")
    named = {text: student.tokens.tokenizer.convert_tokens_to_ids(text) for text in PLAIN}
    again = load_tiny(
        convert(tmp_path / "a.gguf", tmp_path), recipe=tiny_recipe(prompt={"style": "fim"})
    )
    write_base(again, tmp_path / "b.gguf")
    assert again.end_ids == student.end_ids
    for file in ("a.gguf", "b.gguf"):
        fields = {k: f.contents() for k, f in gguf.GGUFReader(tmp_path / file).fields.items()}
        for which, old, text in zip(("pre", "suf", "mid"), ("prefix", "suffix", "middle"), PLAIN):
            assert fields[f"tokenizer.ggml.fim_{which}_token_id"] == named[text]
            assert fields[f"tokenizer.ggml.{old}_token_id"] == named[text]
        assert fields["tokenizer.ggml.eos_token_id"] == 1
        assert fields["tokenizer.ggml.eot_token_id"] == student.tokens.end_id
        model = llama_cpp.Llama(str(tmp_path / file), vocab_only=True, verbose=False)
        assert model._model.token_prefix() == named["<fim_prefix>"]


def filled(template: str, prompt: str, suffix: str) -> str:
    """What Ollama makes of these templates of Go: choices by fields, the innermost first, and
    fields."""
    fields = {".Prompt": prompt, ".Suffix": suffix, ".System": "", ".Response": "", '"{{"': "{{"}
    inner = (
        r"\{\{ if (\S+) \}\}((?:(?!\{\{ if ).)*?)\{\{ else \}\}((?:(?!\{\{ if ).)*?)\{\{ end \}\}"
    )
    count = 1
    while count:
        choose = lambda match: match[2] if fields[match[1]] else match[3]  # noqa: E731
        template, count = re.subn(inner, choose, template, flags=re.S)
    return re.sub(r"\{\{ (\S+) \}\}", lambda match: fields[match[1]], template)


@pytest.mark.parametrize("template", [None, "[{{ messages[0]['content'] }}]"])
def test_ollama_asks_for_the_middle_where_there_is_a_suffix(tmp_path, template):
    make_tiny(tmp_path / "model", vocab=400)
    tokenizer = tokenizer_with((*PIPED, "<|endoftext|>"))
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path / "model")
    student = load_tiny(tmp_path / "model", recipe=tiny_recipe(prompt={"style": "fim"}))
    told = modelfile(student, tiny_recipe())
    written = re.search(r'TEMPLATE """(.*?)"""\n', told, re.S)[1]
    asked = filled(written, PREFIX_TEXT, SUFFIX_TEXT)
    assert asked == f"{PIPED[0]}{PREFIX_TEXT}{PIPED[1]}{SUFFIX_TEXT}{PIPED[2]}"
    assert student.tokens._ids(asked) == student.prompt_ids(MESSAGES)
    assert filled(written, "hello", "").startswith("hello" if template is None else "[hello]")
    assert 'PARAMETER stop "<|endoftext|>"\n' in told
    chat = load_tiny(tmp_path / "model", recipe=tiny_recipe())
    assert ".Suffix" not in modelfile(chat, tiny_recipe())


# ---- what a person is told -----------------------------------------------------------------------


STEPS = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The nano student that fills in the middle, made of a dozen modules in a few steps."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch)
        return fim_student.make_student(tmp_path_factory.mktemp("students"), steps=STEPS)


def told(command: str, *options, code: int = 0) -> dict:
    """The JSON of a command, run in this process; of one that is refused what it says."""
    done = CliRunner().invoke(coldstart.cli, [command, *map(str, options), "--json"])
    assert done.exit_code == code, done.output
    return {"says": done.output} if code == 2 else json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def written(tmp_path, calc) -> Run:
    """A run of a student that fills in the middle, with a task of several functions among its
    own."""
    make_tiny(tmp_path / "model", vocab=400)
    tokenizer_with((*PIPED, "<|endoftext|>")).save_pretrained(tmp_path / "model")
    run = write_run(tmp_path / "run", calc, upto="before")
    recipe = run.content["recipe"]
    recipe["prompt"]["style"], recipe["student"]["model"] = "fim", str(tmp_path / "model")
    recipe["student"]["max_prompt"] = 400
    several = replace(run.tasks[0], instance_id="both", files=(run.tasks[0].file,))
    run.append("tasks.jsonl", [several.to_dict()])
    run.write()
    return Run.open(run.folder)


def test_what_cannot_be_put_so_is_named(written):
    said: list[events.Event] = []
    session = Session(written, None, said.append)
    assert set(session.chats) == {t.instance_id for t in written.tasks} - {"both"}
    (told,) = (event for event in said if isinstance(event, events.NotAskable))
    assert told.reasons == (("both", "Not about one function"),)
    assert session.prompt_facts["unaskable"] == 1 and session.prompt_facts["left_out"] == 0
    assert all(ids[0] == session.student.tokens.fim.prefix for ids in session.prompts.values())
    written.keep_only("tasks.jsonl", [t.to_dict() for t in written.tasks if t.files])
    with pytest.raises(UsageError, match="None of the tasks can be put in prompts of style fim"):
        _ = Session(Run.open(written.folder), None, said.append).chats


def test_prompts_as_files(written, tmp_path):
    said: list[events.Event] = []
    built = write_prompts(written, tmp_path / "out", said.append)
    facts = prompt_facts(written, tmp_path / "out", built)
    assert facts["whole"] + facts["part"] == len(built) - 1 and facts["unaskable"] == 1
    assert built["both"] is None and not (tmp_path / "out" / "both.txt").exists()
    names = {type(event) for event in said}
    assert {events.NotAskable, events.PromptsWritten} <= names
    for name, prompt in built.items():
        if prompt:
            text = (tmp_path / "out" / f"{name}.txt").read_text()
            assert text == prompt.text and text.count("\n<middle>\n") == 1


def test_the_card_says_how_to_ask(written):
    assert "It fills in the middle, without a chat template" in card(written, "best", None)
    written.content["recipe"]["prompt"]["style"] = "body"
    assert "fills in the middle" not in card(written, "best", None)


@pytest.mark.slow
def test_the_nano_student_that_fills_in_is_made_once(made, monkeypatch):
    tokenizer = open_tokenizer(str(made))
    ids = tokenizer.prompt_ids(MESSAGES)
    marks = [tokenizer._tokenizer.token_to_id(text) for text in PIPED]
    assert [i for i in ids if i in marks] == marks == [2, 3, 4]
    make_small(monkeypatch)
    monkeypatch.setattr(fim_student, "train_tokenizer", lambda *_: pytest.fail("made again"))
    assert fim_student.make_student(made.parent, steps=STEPS) == made
    assert (
        "the nano-fim student has not been made"
        in budget_of(load("nano", ["student.model=nano-fim", "prompt.style=fim", "seed=123456"]))[1]
    )


def test_a_file_is_drawn_as_prompts_show_it(monkeypatch):
    make_small(monkeypatch)
    corpus, chance = nano_data.read_standard_library(), random.Random(0)
    for _ in range(200):
        prefix, suffix, middle = fim_student.draw_file(corpus, chance)
        head = prefix.rstrip("\n").rpartition("\ndef ")[2].removeprefix("def ")
        assert head and prefix.endswith("\n") and suffix.startswith("\n")
        assert middle.startswith("    ") and not middle.endswith("\n")
        parse(f"def {head}\n{middle}\n")


# ---- the whole way -------------------------------------------------------------------------------

SETTINGS = {
    "prompt.style": "fim",
    "student.max_new": 32,
    "student.max_prompt": 160,
    "tasks.heldout": 0.2,
    "teacher.share": 1.0,
    "probe.k": 2,
    "probe.temperature": 0.2,
    "distil.steps": 120,
    "distil.batch": 8,
    "climb.groups": 2,
    "climb.group_size": 2,
    "climb.cycles": 1,
}


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def place(made, calc, tmp_path_factory) -> Path:
    """A folder with a run that was bootstrapped, climbed and measured."""
    run = tmp_path_factory.mktemp("place") / "run"
    sets = {"student.model": made, **SETTINGS}
    options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    told("bootstrap", "--repo", calc, "--recipe", "nano", "--run", run, *options)
    told("climb", "--run", run)
    measured = told("eval", "--run", run)
    assert measured["probe"]["heldout"]["n"] == measured["base"]["heldout"]["n"] > 0
    return run.parent


def mastered(run: Run) -> list[Task]:
    """Tasks that the last probe saw solved each time, and the first one never."""
    probes = list(run.read("probe.jsonl"))
    last = {p["instance_id"]: p for p in probes if p["phase"] == probes[-1]["phase"]}
    first = {p["instance_id"]: p for p in probes if p["phase"] == "before"}
    return [
        t
        for t in run.tasks
        if last[t.instance_id]["resolved"] == last[t.instance_id]["k"]
        and not first[t.instance_id]["resolved"]
    ]


def post(url: str, **body) -> dict:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=60))


def resolved(run: Run, answers: dict[str, str]) -> list[bool]:
    """Whether each of {instance_id: middle} mends its task."""
    by_name = {t.instance_id: t for t in run.tasks}
    with open_judge(run, lambda event: None) as judge:
        verdicts = [judge_reply(judge, by_name[n], text, "fim") for n, text in answers.items()]
    return [verdict.status == "resolved" for verdict in verdicts]


def asked_of(run: Run, tasks: list[Task]) -> dict[str, tuple[str, str]]:
    """{instance_id: (prefix, suffix)} as the student was asked."""
    said = {
        record["instance_id"]: halves(record["messages"])
        for record in run.read("trajectories.jsonl")
    }
    return {t.instance_id: said[t.instance_id] for t in tasks}


@pytest.mark.slow
def test_a_cold_student_learns_to_fill_in_the_middle(place):
    run = Run.open(place / "run")
    (first, *_) = lines(place / "run" / "trajectories.jsonl")
    assert [message["role"] for message in first["messages"]] == ["prefix", "suffix", "assistant"]
    prefix, suffix, middle = (message["content"] for message in first["messages"])
    assert prefix.endswith("\n") and suffix.startswith("\n") and middle.startswith("    ")
    assert first["source"] == "reference" and len(mastered(run)) >= 2
    assert {r["phase"] for r in lines(place / "run" / "rollouts.jsonl")} >= {"before", "climb"}
    data = told("export", "--run", run.folder, "--to", "dataset", "--out", place / "data")
    assert "fim-train.jsonl" in data["files"] and "chat-train.jsonl" not in data["files"]
    row = lines(place / "data" / "fim-train.jsonl")[0]
    assert [row[k] for k in ("prefix", "suffix", "middle")] == [prefix, suffix, middle]
    to = ("--to", "verifiers", "--out", place / "no")
    refused = told("export", "--run", run.folder, *to, code=2)
    assert "what is to be written asks by chat" in refused["says"]
    assert not (place / "no").exists()


@pytest.fixture(scope="module")
def exported(place) -> Path:
    """The folder with both exports of the run, each replayed."""
    for target in ("gguf", "ollama"):
        to = ("--to", target, "--out", place / target)
        replay = told("export", "--run", place / "run", *to)["replay"]
        assert replay["n"] >= 2 and not replay["lost"], (target, replay)
        assert replay["export"] == replay["checkpoint"] >= 2, (target, replay)
    return place


@pytest.mark.slow
def test_a_server_is_asked_as_ollama_would_ask_it(exported, tmp_path):
    run = Run.open(exported / "run")
    told = (exported / "ollama" / "Modelfile").read_text()
    template = re.search(r'TEMPLATE """(.*?)"""\n', told, re.S)[1]
    with served(next((exported / "gguf").glob("*.gguf")), tmp_path, 224) as url:
        answers = {
            name: post(
                f"{url}/completions", prompt=filled(template, *parts), max_tokens=32, temperature=0
            )["choices"][0]["text"]
            for name, parts in asked_of(run, mastered(run)).items()
        }
    assert all(resolved(run, answers)), answers


@pytest.mark.slow
def test_llama_server_fills_in_a_mastered_task(exported, tmp_path):
    run = Run.open(exported / "run")
    with infilling(next((exported / "gguf").glob("*.gguf")), tmp_path, 224) as url:
        answers = {
            name: post(
                f"{url}/infill",
                input_prefix=prefix,
                input_suffix=suffix,
                n_predict=32,
                temperature=0,
            )["content"]
            for name, (prefix, suffix) in asked_of(run, mastered(run)).items()
        }
    assert all(resolved(run, answers)), answers


@pytest.mark.slow
def test_fix_writes_a_body_for_a_failing_test(place, calc):
    text = (calc / "calc/core.py").read_text()
    (calc / "calc/core.py").write_text(text.replace("return a + b", "return a - b"))
    try:
        found = CliRunner().invoke(
            coldstart.cli, ["fix", "--run", str(place / "run"), "--samples", "8", "--json"]
        )
    finally:
        (calc / "calc/core.py").write_text(text)
    assert found.exit_code in (0, 1), found.output
    (outcome,) = json.loads(found.stdout.splitlines()[-1])["outcomes"]
    assert sum(outcome["counts"].values()) == 8 and "a - b" not in outcome["patch"].split("+++")[0]
    assert outcome["fixed"], outcome
