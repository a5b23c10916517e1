"""The student made on the spot: its data, that it is the same every time, and that it is an
ordinary folder.

The fast tests make a student of a few steps from a dozen modules of the library; `slow` ones read
all of it.
"""

import ast
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.nano import nano_data, nano_student
from sandbox import cache
from sandbox.practice import MODULES

ROOT = Path(nano_student.__file__).parents[2]
FEW = [
    f"{name}.py"
    for name in (
        "calendar",
        "csv",
        "fractions",
        "heapq",
        "shlex",
        "statistics",
        "string",
        "textwrap",
    )
]
MADE_SMALL = f"""
import sys
from pathlib import Path
from recipes.nano import nano_student
from recipes.nano import nano_data

nano_data.library_files = lambda library: [library / name for name in {FEW}]
nano_student.TOKENIZER_SAMPLES = 1000
"""
MAKE = MADE_SMALL + "print(nano_student.make_student(Path(sys.argv[1]), steps=int(sys.argv[2])))"
MAKE_FOREVER = (
    MADE_SMALL
    + """
nano_student.make_student(Path(sys.argv[1]), steps=100_000, on_progress=lambda what, done, total:
                  print("training", flush=True) if (what, done) == ("training", 2) else None)
"""
)


def python(code, *arguments, **options):
    environment = os.environ | {"PYTHONHASHSEED": options.pop("hash_seed", "random")}
    return [sys.executable, "-c", code, *map(str, arguments)], {
        "cwd": ROOT,
        "env": environment,
        "text": True,
    } | options


def run_python(code, *arguments, **options):
    command, options = python(code, *arguments, **options)
    return subprocess.run(command, capture_output=True, check=True, **options)


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def make_small(monkeypatch):
    monkeypatch.setattr(
        nano_data, "library_files", lambda library: [library / name for name in FEW]
    )
    monkeypatch.setattr(nano_student, "TOKENIZER_SAMPLES", 1000)


@pytest.fixture
def small(monkeypatch):
    make_small(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch)
        return nano_student.make_student(tmp_path_factory.mktemp("cache"), steps=3)


# --------------------------------------------------------------------------------------------- data


def write_library(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


GOOD = {
    "shapes.py": "def area(width, height):\n    '''Width times height.'''\n    result = width * "
    "height\n    return result\n",
    "deep/tools.py": "class Box:\n    def total(self, items):\n        return sum(items) + "
    "self._start\n",
}


def read(monkeypatch, library):
    monkeypatch.setattr(nano_data.sysconfig, "get_paths", lambda: {"stdlib": str(library)})
    return nano_data.read_standard_library()


def test_reads_functions_and_fragments(monkeypatch, tmp_path):
    write_library(tmp_path, GOOD)
    corpus = read(monkeypatch, tmp_path)
    assert (
        "def area(width, height):\n    result = width * height\n    return result",
        "Width times height.",
    ) in corpus.functions
    assert "sum(v1) + v0" in corpus.fragments  # numbered level by level
    assert "v0 = v1 * v2\nreturn v0" in corpus.fragments


def test_skips_what_does_not_parse_and_what_is_installed_beside(monkeypatch, tmp_path):
    write_library(tmp_path / "clean", GOOD)
    write_library(
        tmp_path / "full",
        GOOD
        | {
            "old.py": "print 'python 2'\n",
            "binary.py": "x = '\0'\n",
            "notes.txt": "no code",
            "site-packages/extra.py": "def extra(a):\n    return a + 11\n",
            "dist-packages/more.py": "def more(a):\n    return a + 12\n",
            "test/test_it.py": "def check(a):\n    return a + 13\n",
            "json/tests/test_it.py": "def check(a):\n    return a + 14\n",
        },
    )
    assert read(monkeypatch, tmp_path / "full") == read(monkeypatch, tmp_path / "clean")


def test_says_so_where_there_is_no_library(monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match="standard library"):
        read(monkeypatch, tmp_path)


def test_samples_are_functions_as_unparse_writes_them(small):
    corpus = nano_data.read_standard_library()
    rng = random.Random(1)
    for _ in range(500):
        prompt, completion = nano_data.draw_sample(corpus, rng)
        [function] = ast.parse(prompt + completion).body
        assert prompt.count("\n") == 2 and prompt.endswith('"""\n')
        assert completion == nano_data.indent(function.body[1:])


@pytest.mark.long
@pytest.mark.slow
def test_nothing_of_the_practice_repository_is_in_the_data():
    functions = [
        function
        for _, _, families in MODULES.values()
        for family in families
        for function in family()
    ]
    docstrings = {function.docstring for function in functions}
    bodies = {f"    {function.body}\n" for function in functions}
    corpus = nano_data.read_standard_library()
    assert not docstrings & {docstring for _, docstring in corpus.functions}
    rng = random.Random("samples 0")  # what a student of seed 0 is shown, and more
    for _ in range(40_000):
        prompt, completion = nano_data.draw_sample(corpus, rng)
        assert prompt.split('"""')[1] not in docstrings
        assert completion not in bodies


# ------------------------------------------------------------------------------------------ student


@pytest.mark.slow
def test_same_bytes_in_another_process(folder, tmp_path):
    again = Path(run_python(MAKE, tmp_path / "cache", 3, hash_seed="1").stdout.strip())
    assert again.name == folder.name
    assert contents(again) == contents(folder)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [again.name]


@pytest.mark.slow
def test_another_seed_is_another_student(small, folder, tmp_path):
    other = nano_student.make_student(tmp_path, seed=1, steps=3)
    assert other.name != folder.name
    assert contents(other)["model.safetensors"] != contents(folder)["model.safetensors"]


def test_second_call_does_no_work(folder, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("read the library again")

    monkeypatch.setattr(nano_data, "read_standard_library", refuse)
    before = folder.stat().st_mtime_ns
    assert nano_student.make_student(folder.parent, steps=3) == folder
    assert folder.stat().st_mtime_ns == before


@pytest.mark.slow
def test_progress_and_silence(small, tmp_path, capfd):
    seen = []
    nano_student.make_student(tmp_path, steps=2, on_progress=lambda *event: seen.append(event))
    assert list(dict.fromkeys(what for what, _, _ in seen)) == [
        "reading the standard library",
        "tokenizer",
        "training",
    ]
    assert seen[-2:] == [("training", 1, 2), ("training", 2, 2)]
    assert all(0 <= done <= total for _, done, total in seen)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_leaves_torch_as_it_was(small, tmp_path):
    import torch

    threads, state = torch.get_num_threads(), torch.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    nano_student.make_student(tmp_path, steps=1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.are_deterministic_algorithms_enabled() == deterministic


@pytest.mark.slow
def test_nothing_is_left_when_killed_half_way(tmp_path):
    command, options = python(MAKE_FOREVER, tmp_path / "cache")
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as process:
        assert process.stdout.readline() == "training\n"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_nothing_is_left_when_saving_fails(small, tmp_path, monkeypatch):
    def no_space(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "sync", no_space)
    with pytest.raises(OSError, match="No space"):
        nano_student.make_student(tmp_path, steps=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_first_of_two_wins(small, tmp_path):
    folder = tmp_path / f"nano-{nano_student.recipe_hash(0, 1)}"

    def other_process_finishes(what, done, total):
        if (what, done) == ("training", 1):
            folder.mkdir()
            (folder / "config.json").write_text("{}")

    assert (
        nano_student.make_student(tmp_path, steps=1, on_progress=other_process_finishes) == folder
    )
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert list(tmp_path.iterdir()) == [folder]


def test_importing_is_light():
    loaded = run_python(
        "import sys, recipes.nano.nano_student; print([name for name in ('torch', 'transformers', "
        "'tokenizers', "
        "'click') "
        "if name in sys.modules])"
    ).stdout
    assert loaded == "[]\n"


# ------------------------------------------------------------------ an ordinary Hugging Face folder

MESSAGES = [
    {"role": "user", "content": 'def double(n):\n    """Return n times 2."""\n'},
    {"role": "assistant", "content": "    return n * 2\n"},
]


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_model_loads_and_generates(folder, tokenizer):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert 900_000 < sum(p.numel() for p in model.parameters()) < 1_100_000
    prompt = tokenizer.apply_chat_template(
        MESSAGES[:1], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert written.shape[1] <= prompt["input_ids"].shape[1] + 4


def test_model_loads_in_four_bits(folder):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    )
    assert isinstance(model.model.layers[0].mlp.up_proj, bitsandbytes.nn.Linear4bit)


def test_chat_template_is_the_text_itself(tokenizer):
    user, assistant = (message["content"] for message in MESSAGES)
    assert (
        tokenizer.apply_chat_template(MESSAGES[:1], add_generation_prompt=True, tokenize=False)
        == user
    )
    assert tokenizer.apply_chat_template(MESSAGES, tokenize=False) == user + assistant + "<eos>"


def test_prompt_tokens_begin_the_chat(tokenizer):
    prompt = tokenizer.apply_chat_template(
        MESSAGES[:1], add_generation_prompt=True, return_dict=False
    )
    chat = tokenizer.apply_chat_template(MESSAGES, return_dict=False)
    completion = tokenizer(MESSAGES[1]["content"])["input_ids"]
    assert chat == prompt + completion + [tokenizer.eos_token_id]
    assert tokenizer.decode(completion) == MESSAGES[1]["content"]


def test_special_tokens(folder, tokenizer):
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, len(tokenizer)) == (
        nano_student.PAD,
        nano_student.EOS,
        nano_student.VOCABULARY,
    )
    config = json.loads((folder / "config.json").read_text())
    assert (config["pad_token_id"], config["eos_token_id"]) == (nano_student.PAD, nano_student.EOS)


def test_tokenizer_keeps_every_text(tokenizer):
    for text in (
        "",
        "   \n\n\t x",
        "é ü 漢字 🙂",
        'def f():\n    """"""\n    return "\\n"\n',
        "a<pad>b",
    ):
        assert (
            tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False)
            == text
        )
