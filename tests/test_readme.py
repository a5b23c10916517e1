"""The README and the pages in docs/ keep their word: every command in them is run here, or is on a
list of those that are not, with the reason; every option, setting and page that they name exists.
The README is short, its sentences too, and its sample output is what a recording shows.

The commands run in the order of the pages in one folder, in which a small student has learned the
answers to a few tasks by heart. What the sample output says is held against the program where it
runs: test_arc.py.
"""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import coldstart
from docs.animation import Recording, svg
from docs.record import BLOCK, CAST, DESCRIPTION, ELISION, PICTURE, renewed
from recipes.runfolder.run import Run
from recipes.settings import FOLDER, Recipe, load
from sandbox.tasks.kinds import KINDS
from tests.conftest import CALC, ROOT, git, make_repo, run_cli
from tests.prose import FENCE, SPAN, sentences
from tests.prose import words as counted
from tests.sample import sample, unsaid
from tests.test_export import LEARNED, learn
from tests.tiny import make_tiny, make_tokenizer

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    file.relative_to(ROOT): file.read_text(encoding="utf-8")
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")))
}
RECIPES = PAGES[Path("docs/recipes.md")]
FOR_DEVELOPERS = {Path("docs/DESIGN.md"), Path("docs/measurements.md")}
"""Pages that may have long sentences."""
OURS = "python coldstart.py "

RUN = {
    "demo practice": "A practice repository is in practice",
    "doctor": "coldstart can run here.",
    "cache": "snapshots of repositories",
    "status": "best checkpoint  distilled",
    "eval": "difference  pass@1",
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
"""What is run, and words of what it says. Of alternatives the last is taken."""

PARSED = {
    "doctor [--teacher NAME]": "is run without its option",
    "eval [--checkpoint NAME] [--split heldout|all|train] [--k N] [--temperature T] "
    "[--voice]": "is run without its options; test_arc.py gives it some",
    "cache --empty": "asks; test_cache.py runs it",
    "cache --empty-replies": "asks; test_cache.py runs it",
    "tasks --repo DIR [--kinds blank,mutate,revert,failing,compose,doctest,record,series] [--since DATE] "
    "[--limit N] [--prompts OUT]": "`place` runs it with other options",
    "tasks --repo DIR --prompts OUT": "test_cut_off.py runs it",
    "bootstrap --repo ./myproj --recipe rtx-8gb --set prompt.style=fim --set student.max_prompt=1536": "needs "
    "a card; test_fim.py runs the way with a smaller student",
    "bootstrap --from RUN": "needs a repository that has moved on; test_taking_up.py runs it",
    "tasks --from RUN": "the same",
    "eval --new-since RUN": "the same",
    "bootstrap --repo A --repo B": "needs two; test_many_repositories.py runs it",
    "eval --student RUN": "the same",
    "export --to trl": "test_trl.py runs it, and what it writes",
    "export --to trl --out trl": "the same",
    "eval --checkpoint trl/trained/adapter": "the same",
    "export --to verifiers --out envs/myproj": "is run into another folder",
    "climb": "takes minutes; test_arc.py runs it",
    "tasks --repo DIR --kinds NAME": "NAME stands for a new kind; test_kinds.py makes one",
    "tasks --repo LIBRARY --recipe rtx-8gb --set student.model=FOLDER --prompts OUT": "fetches libraries",
    "bootstrap --repo ./myproj": "takes minutes, and three more to make a student; test_arc.py "
    "runs it with a smaller one",
    "status --watch": "needs a terminal; test_status.py runs it on one",
    "eval --control": "needs episodes; test_episode_arc.py runs it",
    "climb --stage NAME": "needs a recipe with stages; test_curriculum.py runs it",
    "climb --compare": "the same",
    "selfdistil": "needs a run that has climbed; test_selfdistil.py runs it",
    "bootstrap --repo ./myproj --teacher deepseek --dry-run": "needs a student; "
    "test_teacher_arc.py runs it against "
    "a server of its own",
    "bootstrap --teacher folder:DIR --dry-run": "test_programs.py runs it",
    "bootstrap --repo ./myproj --teacher deepseek --terms-acknowledged --max-usd 2": "needs a key "
    "and money; test_teacher_arc.py, too",
}
"""What is only read by click, and why."""

OTHERS = {
    "python coldstart.py": "is no command; test_cli.py runs it",
    "sudo apt install git bubblewrap build-essential cmake python3-venv python3-dev": "fetches packages",
    "python3 -m venv venv": "makes the environment that runs this",
    ". venv/bin/activate": "the same",
    "pip install -r requirements-cpu.txt": "fetches packages",
    "pip install -r requirements-dev.txt": "fetches packages",
    "pip install -r requirements.txt": "fetches packages",
    'pip install "torch<2.11"': "fetches packages",
    "pip install --no-deps --target DIR triton unsloth unsloth_zoo \"trl<=1.15\" "
    "\"datasets>=4.6,<5\" pyarrow dill multiprocess xxhash pandas requests": "fetches packages",
    "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0": "changes the machine",
    "hf download NAME": "fetches a model",
    "nvidia-smi -l 5": "needs a card",
    "wsl --install -d Ubuntu-24.04": "is for Windows",
    "wsl --update": "is for Windows",
    "wsl --shutdown": "is for Windows",
    "ruff check .": "is part of .ci/run",
    "ruff format .": "is part of .ci/run",
    "mypy": "is part of .ci/run",
    "python -m pytest": "is what runs this",
    'python -m pytest -m "not slow"': "is what runs this",
    "python -m pytest -n 0 tests/test_mine.py": "is what runs this",
    "python -m pytest -m long": "is what runs this",
    "UNSLOTH_SITE=DIR python -m pytest -n 0 -m slow tests/test_unsloth.py": "needs unsloth",
    "python -m tests.test_attacks": "takes minutes; test_attacks.py runs the same attacks",
    "python -m llama_cpp.server --model FILE": "test_serve.py runs it",
    "python -m venv venv-trl": "makes another environment",
    ". venv-trl/bin/activate": "the same",
    "pip install -r requirements-cpu.txt -r trl/requirements.txt": "fetches packages",
    "accelerate launch --num_processes 4 trl/train.py": "needs cards; test_trl.py runs it without",
    "accelerate launch --num_processes 4 trl/train.py --resume": "the same",
    "accelerate launch --num_machines 4 --num_processes 32 --machine_rank RANK --main_process_ip HOST "
    "--main_process_port 29500 trl/train.py --out /shared/trained": "needs machines",
    "pip install -e envs/myproj": "fetches packages",
    "uv run rl @ rl.toml": "needs prime-rl and a card",
    "python tests/prove_prime_rl.py": "needs prime-rl",
    "python docs/record.py": "takes a quarter of an hour; test_recording.py runs its parts",
    "python tests/bench_arc.py": "takes hours",
    "python tests/bench_arc.py --recipe smollm2 --part all --no-cold-arms --set tasks.limit=160 --set "
    "tasks.heldout=0.4 --set student.threads=1": "takes hours",
    "python tests/bench_arc.py --recipe smollm2 --library toolz --no-cold-arms --set "
    "'tasks.kinds=[\"mutate\"]' --set tasks.limit=160 --set tasks.heldout=0.3 --set student.threads=1 "
    "--set student.max_prompt=448 --set student.max_new=160": "takes hours",
    "python tests/bench_cycle.py": "needs TRL",
    "python tests/bench_engines.py": "needs a run that has bootstrapped",
    "python tests/bench_episodes.py --recipe smollm2 --part all --set tasks.limit=30 --set "
    "tasks.heldout=0.4 --set climb.cycles=4 --set student.threads=1": "takes hours",
    "python tests/bench_hard.py --tasks 30 --edits 100": "fetches libraries",
    "python tests/bench_kinds.py --libraries inflection==0.5.1,isodate==0.7.2,webcolors==24.11.1 --kinds "
    "blank,compose,doctest,record": "fetches libraries",
    "python tests/bench_kinds.py --repository CLONE --kinds revert,series": "needs its history",
    "python tests/bench_libraries.py --cycles 3 --set 'tasks.kinds=[\"mutate\"]' --set tasks.limit=30 --set "
    "tasks.heldout=0.3 --set student.threads=1 --set student.max_prompt=448 --set student.max_new=120": "fetches libraries",
    "python tests/bench_rollout.py": "takes an hour",
    "python tests/bench_rollout.py --episodes": "takes an hour",
    "python tests/bench_rollout.py --recipe smollm2 --model no": "takes an hour",
    "python tests/bench_stages.py": "takes hours",
    "python tests/bench_startup.py": "trains a student",
    "python tests/bench_stages.py --recipe smollm2 --part easy --cycles 4,4 --set tasks.limit=60 --set "
    "tasks.heldout=0.3 --set student.threads=1 --set selfdistil.steps=15 --set selfdistil.batch=8 --set "
    "forgetting.mastered=12 --other HARDER --set forgetting.tasks=8 --seeds N": "takes hours",
    "python tests/bench_taking_up.py --repo CLONE --anew 5 --set tasks.limit=120": "needs its history",
    "python tests/bench_update.py": "needs TRL",
    "python tests/bench_update.py --recipe smollm2 --prompt 250 --new 48": "needs TRL",
    "python tests/bench_update.py --step episodes": "takes minutes",
    "python tests/gpu_table.py": "needs a card; test_gpu.py runs it without one",
    "python tests/bench_verdict.py": "fetches libraries",
    "export COLDSTART_TEACHER_KEY=...": "is for a key",
    'eval "$(_COLDSTART_PY_COMPLETE=bash_source ./coldstart.py)"': "test_terminal.py completes in "
    "its way",
    "llama-server -m Qwen2.5-Coder-1.5B-Instruct.Q8_0.gguf --port 8012 -ub 1024 -b 1024 --ctx-size 0 "
    "--cache-reuse 256": "needs that model; test_fim.py asks the server where one is installed",
    "ollama create NAME -f Modelfile": "needs Ollama; test_export.py reads the Modelfile",
}
"""What is not coldstart's own, and why it is not run."""

ELSEWHERE = {
    "--help": "click's",
    "--interrupt_requests": "llama_cpp.server's",
    "--tb": "pytest's",
    "--cpu": "accelerate's",
    "--multi_gpu": "accelerate's",
    "--coldstart": "that of the exported train.py",
}
"""Options in the pages that are another program's, in no command of OTHERS."""

PLACEHOLDERS = {
    "DIR": "myproj",
    "RUN": "runs/latest",
    "TASK": "blank-calc.core.add",
    "FILE": "reply",
    "NAME": "best",
    "N": "3",
    "T": "0.5",
    "DATE": "2025-01-31",
}
PROGRAMS = (
    "python ",
    "pip ",
    "apt ",
    "sudo ",
    "ollama ",
    "hf ",
    "nvidia-smi ",
    "wsl ",
    'eval "',
    *(f"{name} " for name in coldstart.cli.commands),
)
"""What a sentence's command begins with."""
SECTION = re.compile(rf"({'|'.join(Recipe().to_dict())})\.([a-z_]+)(?:=.*)?")
FILES = ("py", "jsonl", "json", "toml", "sqlite", "cpp")
"""What ends the names of files that begin like the name of a setting."""


def spans(text: str) -> list[str]:
    """What is written as code in the sentences."""
    return [" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text))]


def in_page(text: str) -> list[str]:
    """Its commands: of blocks, a line each and without comments, and those that stand in a
    sentence."""
    blocks = [block for language, block in FENCE.findall(text) if language == "bash"]
    lines = [re.split(r" +#", line)[0] for block in blocks for line in block.splitlines() if line]
    found = [*lines, *(span for span in spans(text) if span.startswith(PROGRAMS))]
    return [part for command in found for part in command.split(" && ")]


def commands() -> list[str]:
    """Those of all pages."""
    return [command for text in PAGES.values() for command in in_page(text)]


def recorded() -> list[str]:
    """Those of the README's sample, which a recording has run: without the prompt."""
    lines = [line for block in BLOCK.findall(README) for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


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
def test_the_tables_of_recipes_say_what_they_say(name):
    student = load(name).student
    row = next(line for line in RECIPES.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"| {student.max_prompt} |" in row
    if not name.startswith(("nano", "smollm2")):
        memory = re.search(r"# Memory: (.+ GiB) of the card", (FOLDER / f"{name}.toml").read_text())
        model = student.model.partition("/")[2]
        assert f"| {memory[1]} |" in row and model in row
        size = name.removeprefix("rtx-").replace("gb", " GB")
        assert f"| {size} | {model} | {memory[1]} |" in README


def test_every_kind_of_task_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \|", PAGES[Path("docs/how-it-works.md")], re.M)
    assert set(KINDS) <= set(rows)


@pytest.mark.parametrize("command", [*RUN, *PARSED, *(c.removeprefix(OURS) for c in recorded())])
def test_a_command_can_be_given_like_this(command):
    given = words(command, all_of_it=True)
    with coldstart.cli.make_context("coldstart.py", list(given)) as context:
        name, found, rest = coldstart.cli.resolve_command(context, given)
        found.make_context(name, rest, parent=context).close()


WRITTEN = ("recipes/exports/training/requirements.txt",)
"""By the export itself."""


@pytest.mark.parametrize("command", OTHERS)
def test_files_and_options_in_other_commands_exist(command):
    given = shlex.split(command)
    for word in given:
        word = word.replace("trl/", "recipes/exports/training/")  # a copy of it
        assert not word.endswith((".py", ".txt")) or (ROOT / word).is_file() or word in WRITTEN
        assert not word.startswith("tests.") or (ROOT / f"{word.replace('.', '/')}.py").is_file()
    if given[0] == "python" and given[1].endswith(".py"):
        source = (ROOT / given[1]).read_text(encoding="utf-8")
        assert all(word in source for word in given if word.startswith("--"))
        load("smollm2", [given[i + 1] for i, word in enumerate(given) if word == "--set"])


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_option_and_setting_exists(page):
    known = {
        option
        for command in coldstart.cli.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    others = {word for c in OTHERS if c in in_page(PAGES[page]) for word in shlex.split(c)}
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", PAGES[page]))
    assert named - known - others <= set(ELSEWHERE)
    settings = Recipe().to_dict()
    for span in spans(PAGES[page]):
        setting = SECTION.fullmatch(span.removeprefix("--set "))
        if setting and setting[2] not in FILES:
            assert setting[2] in settings[setting[1]], span


def slugs(text: str) -> set[str]:
    """What a link to a heading of the page ends with."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page):
    text = FENCE.sub("", PAGES[page])
    for link in [*re.findall(r"\]\(([^)]+)\)", text), *re.findall(r'src="([^"]+)"', text)]:
        path, _, place = link.partition("#")
        file = (ROOT / page.parent / path).resolve() if path else ROOT / page
        assert "://" in link or file.is_file(), link
        if place and "://" not in link:
            assert place in slugs(PAGES[file.relative_to(ROOT)]), link


def test_the_readme_leads_to_every_page():
    linked = {Path(link) for link in re.findall(r"\]\(([^)#]+)\)", README)}
    assert set(PAGES) - {Path("README.md")} <= linked


def test_the_readme_is_short():
    """Words are counted as in tests/prose.py: code, sample output and tables are words, too."""
    assert len(counted(README)) <= 1300


@pytest.mark.parametrize("page", sorted(set(PAGES) - FOR_DEVELOPERS), ids=str)
def test_sentences_are_short(page):
    assert [s for s in sentences(PAGES[page]) if len(counted(s)) > 30] == []


def test_sentences_are_counted():
    text = "# Head\n\nOne two. Three `f()`\nfour?\n\n- item one\n- item (two)\n\n| a | b c |\n"
    found = ["Head", "One two.", "Three `f()` four?", "item one", "item (two)", "a", "b c"]
    assert sentences(text + "```bash\nls -l. And\n```\n![not](this.svg)\n") == [
        f"# {s}" if s == "Head" else s for s in found
    ]
    assert len(counted("| a | [b](c d) - `e f` |\n```\ng\n```")) == 6


# ---------------------------------------------------------------------------------- the sample


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.read(CAST)


def test_the_sample_is_what_was_recorded(recording):
    said = iter(recording.lines())
    for block in BLOCK.findall(README):
        for line in block.splitlines():
            assert not line or line == ELISION or line in said, (
                f"not there, or not in order: {line}"
            )
    assert [line[2:] for line in recording.lines() if line.startswith("$ ")] == recorded()


def test_other_words_are_noticed(recording):
    """What test_arc.py asks of what is printed there."""
    said = "\n".join(recording.lines())
    assert unsaid("bootstrap", said) == unsaid("climb", said) == []
    assert (
        unsaid("bootstrap", re.sub(r"\d", "3", said).replace("taught, soft", "held out, soft"))
        == []
    )
    assert len(unsaid("bootstrap", said.replace("now solves 28", "now does 28"))) == 1
    assert len(unsaid("climb", said.replace("pass@1", "pass"))) == 1  # the head of the table
    assert unsaid("demo", "") == sample("demo") != []


def test_the_picture_is_what_was_recorded(recording):
    picture = PICTURE.read_text(encoding="utf-8")
    assert picture == svg(recording, DESCRIPTION)
    assert len(picture) < 300_000 and "<script" not in picture and "http" not in picture[60:]


def test_a_new_recording_gives_the_readme_its_figures(recording):
    assert renewed(README, recording.lines()) == (README, [])
    other = [re.sub(r"\d", "7", line) for line in recording.lines()]
    text, missing = renewed(README, other)
    assert missing == [] and text != README and len(text.splitlines()) == len(README.splitlines())
    assert renewed(README, [])[1], "lines that are not printed any more are named"


# -------------------------------------------------------------------------------- what is run


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
def test_a_command_does_what_the_pages_say(place, monkeypatch, command):
    Run.open(place / "runs" / "one").point_latest_here()
    monkeypatch.chdir(place)
    done = CliRunner().invoke(coldstart.cli, words(command, all_of_it=False))
    assert done.exit_code == 0 and RUN[command] in done.output, done.output
