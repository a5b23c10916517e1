"""`doctor`: what it finds here, and on machines from which a part was really taken away. What needs
a card is tried with a driver that is a script: no card was there when this was written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.reporting import doctor
from recipes.reporting.doctor import (
    Check,
    System,
    can_run,
    check_card,
    check_compiler,
    check_disk,
    check_jail,
    check_llama,
    check_torch,
    find_card,
)
from recipes.teachers.endpoint import find_endpoint
from tests.conftest import ROOT, run_cli
from tests.teacher_server import TeacherServer
from tests.test_cli import without_jails

DEBIAN = System("debian")


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
        "import sys\nfrom recipes.reporting.doctor import *\nlist(examine(this_system(), "
        "Path('.')))\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


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
    check = check_jail(DEBIAN)
    assert (
        check.state in ("note", "fault")
        and "bubblewrap" in check.words
        and check.mend == "sudo apt install bubblewrap"
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
    assert f"sudo sysctl -w {group}.{name}=" in doctor.mend_jail(DEBIAN, tmp_path)
    (tmp_path / group / name).write_text("7\n")
    assert "sysctl" not in doctor.mend_jail(DEBIAN, tmp_path)


def test_no_git_and_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_git(System("fedora"))
    assert check.state == "fault" and check.mend == "sudo dnf install git"
    assert check_jail(DEBIAN).state == "fault"
    assert (
        check_compiler(False, System("arch")).state == "note"
        and check_compiler(True, System("arch")).state == "fault"
    )
    assert (
        "base-devel" in check_compiler(True, System("arch")).mend
        and "build-essential" in check_compiler(True, System("debian")).mend
    )


def test_a_full_disk(monkeypatch, tmp_path):
    assert check_disk(tmp_path / "not" / "there").state in ("ok", "note")
    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 60)
    assert check_disk(tmp_path).state == "fault"


# ---------------------------------------------------------------------------------------- libraries


def an_interpreter(tmp_path: Path, **modules: str) -> str:
    """This interpreter with modules of its own before all others."""
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    return str(script(tmp_path, "python", f'PYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"'))


@pytest.mark.slow
def test_libraries_that_do_not_work(tmp_path):
    missing = list(
        check_torch(
            False,
            an_interpreter(
                tmp_path, torch="raise ImportError('libgomp.so.1: cannot open shared object file')"
            ),
        )
    )
    assert [(c.name, c.state) for c in missing] == [("torch", "fault")]
    assert "libgomp" in missing[0].words and "requirements-cpu.txt" in missing[0].mend
    (tmp_path / "torch.py").unlink()
    crashed = list(
        check_torch(
            False, an_interpreter(tmp_path, bitsandbytes="import os\nos.kill(os.getpid(), 11)")
        )
    )
    assert [(c.name, c.state) for c in crashed] == [
        ("torch", "ok"),
        ("4-bit", "fault"),
    ] and "signal 11" in crashed[1].words
    (tmp_path / "bitsandbytes.py").unlink()
    unfit = an_interpreter(
        tmp_path, torchvision="raise RuntimeError('operator torchvision::nms does not exist')"
    )
    vision = list(check_torch(False, unfit))
    assert [(c.name, c.state) for c in vision] == [
        ("torch", "ok"),
        ("4-bit", "ok"),
        ("model libraries", "fault"),
    ]
    assert "uninstall -y torchvision" in vision[2].mend


def test_llama_cpp_that_is_missing_or_built_without_a_card(tmp_path):
    assert (
        check_llama(False, an_interpreter(tmp_path, llama_cpp="raise ImportError('no')")).state
        == "note"
    )
    blind = an_interpreter(
        tmp_path,
        llama_cpp="__version__ = '0.3.36'\ndef llama_supports_gpu_offload():\n    return False",
    )
    assert check_llama(False, blind).state == "ok"
    assert (
        check_llama(True, blind).state == "note" and "GGML_CUDA=on" in check_llama(True, blind).mend
    )


# -------------------------------------------------------------- cards, by a driver that is a script


def test_a_card_and_what_is_wrong_beside_it(monkeypatch, tmp_path):
    script(tmp_path, "nvidia-smi", 'echo "NVIDIA GeForce RTX 4070, 580.95, 12282, 11800"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    card = find_card()
    assert (card.name, card.driver, card.total, card.free) == (
        "NVIDIA GeForce RTX 4070",
        "580.95",
        12282,
        11800,
    )
    assert check_card(card, DEBIAN).state == "ok" and "12282" in doctor.check_recipe(card).words
    script(tmp_path, "nvidia-smi", 'echo "NVIDIA GeForce RTX 4070, 580.95, 12282, 2000"')
    assert check_card(find_card(), DEBIAN).state == "note"
    script(
        tmp_path,
        "nvidia-smi",
        'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; '
        'exit 9',
    )
    assert find_card() is None


def test_a_card_without_a_driver(tmp_path):
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030000\n")
    check = check_card(None, System("arch"), tmp_path)
    assert check.state == "fault" and "pacman" in check.mend
    (device / "vendor").write_text("0x8086\n")
    assert check_card(None, System("arch"), tmp_path).state == "note"


@pytest.mark.long
@pytest.mark.slow
def test_a_card_that_this_build_of_torch_does_not_see():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this torch sees a card")
    checks = list(check_torch(True))
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
    shown = doctor.lines(
        [Check("jail", "fault", "no user namespaces " * 9, "sudo sysctl -w " + "x" * 90)], 60
    )
    assert (
        all(len(line) <= 60 for line in shown[:-1])
        and shown[-1].endswith("x" * 90)
        and shown[0].startswith("fault jail: ")
    )
