"""The README keeps its word: every command in it is run here, or is on a list of those that are
not, with the reason; every option that it names exists.

The commands run in the order of the README in one folder, in which a small student has learned the
answers to a few tasks by heart.
"""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import coldstart
from recipes.runfolder.run import Run
from recipes.settings import FOLDER, load
from tests.conftest import CALC, ROOT, git, make_repo, run_cli
from tests.test_export import LEARNED, learn
from tests.tiny import make_tiny, make_tokenizer

README = (ROOT / "README.md").read_text(encoding="utf-8")
OURS = "python coldstart.py "

RUN = {
    "demo practice": "A practice repository is in practice",
    "doctor [--teacher NAME]": "coldstart can run here.",
    "cache": "snapshots of repositories",
    "status": "best checkpoint  distilled",
    "eval [--checkpoint NAME] [--split heldout|all|train] [--k N] [--temperature T] "
    "[--voice]": "difference  pass@1",
    "report": "The report is",
    "judge TASK --run RUN (--overlay DIR | --patch FILE | --reply FILE)": "resolved: ",
    "fix": "Mended: tests/test_cart.py::test_total",
    "fix tests/test_cart.py::test_total --branch mend-total": "Branch mend-total: ",
    "teacher": "No API teacher",
    "export --to ollama": "Modelfile",
    "export --to gguf": ".Q8_0.gguf",
    "export --to peft": "adapter_model.safetensors",
    "export --to dataset": "chat-train.jsonl",
    "export --to verifiers": "pyproject.toml",
}
"""What is run, and words of what it says. What is in brackets is left out, and of alternatives the
last is taken."""

PARSED = {
    "cache --empty": "asks; test_cache.py runs it",
    "cache --empty-replies": "asks; test_cache.py runs it",
    "doctor": "is run with its option left out",
    "tasks --repo DIR [--kinds blank,mutate,revert,failing,compose] [--since DATE] [--limit N] [--prompts "
    "OUT]": "`place` runs it with other options",
    "tasks --repo DIR --prompts OUT": "test_cut_off.py runs it",
    "tasks --repo LIBRARY --recipe rtx-8gb --set student.model=FOLDER --prompts OUT": "fetches libraries",
    "bootstrap --repo ./myproj": "takes minutes, and three more to make a student; test_arc.py "
    "runs it with a smaller one",
    "climb": "takes minutes; test_arc.py runs it",
    "eval --control": "needs episodes; test_episode_arc.py runs it",
    "climb --stage NAME": "needs a recipe with stages; test_curriculum.py runs it",
    "climb --compare": "the same",
    "selfdistil": "needs a run that has climbed; test_selfdistil.py runs it",
    "bootstrap --repo practice": "as above",
    "bootstrap --repo ./myproj --teacher deepseek --dry-run": "needs a student; "
    "test_teacher_arc.py runs it against "
    "a server of its own",
    "bootstrap --teacher folder:DIR --dry-run": "test_programs.py runs it",
    "bootstrap --repo ./myproj --teacher deepseek --terms-acknowledged --max-usd 2": "needs a key "
    "and money; test_teacher_arc.py, too",
}
"""What is only read by click, and why."""

OTHERS = {
    "pip install -r requirements-cpu.txt": "fetches packages",
    "pip install -r requirements-dev.txt": "fetches packages",
    "apt install bubblewrap": "fetches packages",
    "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0": "changes the machine",
    "python -m pytest": "is what runs this",
    'python -m pytest -m "not slow"': "is what runs this",
    "python -m tests.test_attacks": "takes minutes; test_attacks.py runs the same attacks",
    "python -m llama_cpp.server --model FILE": "test_serve.py runs it",
    "python tests/bench_arc.py": "takes hours",
    "python tests/bench_cycle.py": "needs TRL",
    "python tests/bench_engines.py": "needs a run that has bootstrapped",
    "python tests/bench_libraries.py": "fetches libraries",
    "python tests/bench_rollout.py": "takes an hour",
    "python tests/bench_stages.py": "takes hours",
    "python tests/bench_update.py": "needs TRL",
    "python tests/gpu_table.py": "needs a card; test_gpu.py runs it without one",
    "python tests/bench_verdict.py": "fetches libraries",
    "export COLDSTART_TEACHER_KEY=...": "is for a key",
    'eval "$(_COLDSTART_PY_COMPLETE=bash_source ./coldstart.py)"': "test_terminal.py completes in "
    "its way",
    "ollama create NAME -f Modelfile": "needs Ollama; test_export.py reads the Modelfile",
}
"""What is not coldstart's own, and why it is not run."""

ELSEWHERE = {"--interrupt_requests": "llama_cpp.server", "--model": "llama_cpp.server"}
"""Options in the README that are another program's."""

PLACEHOLDERS = {
    "DIR": "myproj",
    "RUN": "runs/latest",
    "TASK": "blank-calc.core.add",
    "FILE": "reply",
    "N": "3",
    "T": "0.5",
    "DATE": "2025-01-31",
}


def commands() -> list[str]:
    """All of them: of blocks, a line each and without comments, and those that stand in a sentence."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", README, re.M | re.S) + re.findall(
        r"^    (\S.*)$", README, re.M
    )
    lines = [re.split(r" +#", line)[0] for block in blocks for line in block.splitlines()]
    spans = [
        " ".join(span.split())
        for span in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S))
    ]
    comments = re.findall(r"#.*?: (ollama .*)", README)
    programs = (
        "python ",
        "pip ",
        "apt ",
        "sudo ",
        "ollama ",
        'eval "',
        *(f"{name} " for name in coldstart.cli.commands),
    )
    return [
        part
        for text in [*lines, *(s for s in spans if s.startswith(programs)), *comments]
        for part in text.split(" && ")
    ]


def words(command: str, all_of_it: bool) -> list[str]:
    """The arguments of one of our commands, with what is in brackets or without."""
    if all_of_it:
        command = re.sub(r"(\w+)(?:\|\w+)+", r"\1", re.sub(r"[][()]|(?<= )\|(?= )", "", command))
    else:
        command = re.sub(r"\((?:[^()]* \| )?([^()|]*)\)", r"\1", re.sub(r"\[[^]]*\]", "", command))
    return [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]


def ours() -> list[str]:
    """Those that are coldstart's, without the program's name."""
    return [
        command.removeprefix(OURS)
        for command in commands()
        if command.startswith(OURS)
        or command.split()[0] in coldstart.cli.commands
        and command not in OTHERS
    ]


def test_every_command_is_on_a_list():
    assert set(ours()) == {*RUN, *PARSED}
    assert set(commands()) - {OURS + command for command in ours()} - set(ours()) == set(OTHERS)


@pytest.mark.parametrize(
    "name", sorted(file.stem for file in FOLDER.glob("*.toml") if file.stem != "teachers")
)
def test_the_table_of_recipes_says_what_they_say(name):
    student = load(name).student
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"| {student.max_prompt} |" in row
    if not name.startswith(("nano", "smollm2")):
        memory = re.search(r"# Memory: (.+ GiB) of the card", (FOLDER / f"{name}.toml").read_text())
        assert f"| {memory[1]} |" in row and student.model.partition("/")[2] in row


@pytest.mark.parametrize("command", [*RUN, *PARSED])
def test_a_command_can_be_given_like_this(command):
    given = words(command, all_of_it=True)
    with coldstart.cli.make_context("coldstart.py", list(given)) as context:
        name, found, rest = coldstart.cli.resolve_command(context, given)
        found.make_context(name, rest, parent=context).close()


@pytest.mark.parametrize("command", OTHERS)
def test_files_in_other_commands_exist(command):
    for word in shlex.split(command):
        assert not word.endswith((".py", ".txt")) or (ROOT / word).is_file()
        assert not word.startswith("tests.") or (ROOT / f"{word.replace('.', '/')}.py").is_file()


def test_every_option_exists():
    known = {
        option
        for command in coldstart.cli.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", README)) - known == set(ELSEWHERE)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a repository, a run of it whose student has learned a few tasks by heart, and a
    reply to one. One test fails now."""
    folder = tmp_path_factory.mktemp("place")
    cart = (
        'def total(prices):\n    """Return what all the prices come to."""\n    return '
        'sum(prices)\n'
    )
    repo = make_repo(
        folder / "myproj",
        {
            **CALC,
            "calc/cart.py": cart,
            "tests/test_cart.py": (
                "from calc.cart import total\n\n\ndef test_total():\n    assert total([1, 2, 3]) "
                "== 6\n"
            ),
        },
    )
    model, tokenizer = (
        make_tiny(folder / "student", hidden=64, initializer_range=0.1),
        make_tokenizer(),
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    tokenizer.save_pretrained(model)
    sets = {
        "student.model": model,
        "student.max_new": 40,
        "student.max_prompt": 200,
        "judge.workers": 1,
    }
    run_cli(
        "tasks",
        "--repo",
        repo,
        "--recipe",
        "nano",
        "--run",
        "runs/one",
        *(p for k, v in sets.items() for p in ("--set", f"{k}={v}")),
        cwd=folder,
    )
    learn(Run.open(folder / "runs" / "one"), model, (*LEARNED, "total"))
    (folder / "reply").write_text("    return a + b\n")
    (repo / "calc/cart.py").write_text(cart.replace("sum(prices)", "sum(prices[1:])"))
    git(repo, "commit", "-qam", "a mistake")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN)
def test_a_command_does_what_the_readme_says(place, monkeypatch, command):
    Run.open(place / "runs" / "one").point_latest_here()
    monkeypatch.chdir(place)
    done = CliRunner().invoke(coldstart.cli, words(command, all_of_it=False))
    assert done.exit_code == 0 and RUN[command] in done.output, done.output
