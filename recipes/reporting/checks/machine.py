"""What a check is given, and what it comes to."""

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recipes.learning import unsloth_import

TRIAL_SECONDS = 120.0
"""After which a trial is given up; it takes a few seconds, more where the disk is slow to give the
libraries."""
TORCH_TRIAL = """
import json, sys
def say(**facts): print(json.dumps(facts), flush=True)
import torch
say(torch=torch.__version__, built_for=torch.version.cuda, cuda=torch.cuda.is_available())
device = "cuda" if torch.cuda.is_available() else "cpu"
import bitsandbytes
from bitsandbytes.functional import quantize_4bit
say(bitsandbytes=bitsandbytes.__version__)
weight, x = torch.randn(64, 64, device=device), torch.randn(4, 64, device=device)
packed, state = quantize_4bit(weight, quant_type="nf4")
exact = x @ weight.t()
say(error=float((bitsandbytes.matmul_4bit(x, packed.t(), quant_state=state) - exact).norm() / exact.norm()))
import importlib.util
if importlib.util.find_spec("torchvision"):
    import torchvision
if device == "cuda" and importlib.util.find_spec("unsloth"):
    import unsloth  # by the environment of `try_out`
    say(unsloth=unsloth.__version__)
    from transformers.models.llama.modeling_llama import LlamaRMSNorm
    from unsloth.kernels import fast_rms_layernorm
    norm, x = LlamaRMSNorm(64).to("cuda", torch.bfloat16), x[None].to(torch.bfloat16)
    say(kernel=float((fast_rms_layernorm(norm, x) - norm(x)).abs().max()))  # Triton compiles it
import transformers, peft
say(transformers=transformers.__version__, peft=peft.__version__)
"""
HEADERS = {"debian": "python3-dev", "fedora": "python3-devel", "arch": "python"}
"""The package with Python.h, of the system's own interpreter."""
INSTALL = {
    "debian": "sudo apt install {}",
    "fedora": "sudo dnf install {}",
    "arch": "sudo pacman -S {}",
}
"""What installs a package; on WSL2 that of the system in it. Other systems are told the package's
name."""


@dataclass(frozen=True)
class Check:
    """What one check came to."""

    name: str
    state: str
    """`ok`; `note`: worth knowing, the main job runs; `fault`: it does not."""
    words: str
    fix: str = ""
    """The command that mends it on this system, or what to do; empty where there is nothing to
    mend."""

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "state": self.state, "words": self.words, "mend": self.fix}


def ok(name: str, words: str) -> Check:
    return Check(name, "ok", words)


def note(name: str, words: str, fix: str = "") -> Check:
    return Check(name, "note", words, fix)


def fault(name: str, words: str, fix: str = "") -> Check:
    return Check(name, "fault", words, fix)


@dataclass(frozen=True)
class System:
    """What decides which command mends a fault."""

    family: str
    """`debian`, `fedora`, `arch`, or "" for any other."""
    wsl: bool = False

    def install(self, package: str | dict[str, str]) -> str:
        name = package if isinstance(package, str) else package.get(self.family, package["debian"])
        return INSTALL.get(self.family, "install the package {} of your system").format(name)


def this_system(
    os_release: Path = Path("/etc/os-release"), version: Path = Path("/proc/version")
) -> System:
    """The system by the files in which it says what it is."""
    text = os_release.read_text(encoding="utf-8", errors="replace") if os_release.is_file() else ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    like = {word for key in ("ID", "ID_LIKE") for word in fields.get(key, "").strip("\"'").split()}
    families = (
        ("debian", {"debian", "ubuntu"}),
        ("fedora", {"fedora", "rhel", "centos"}),
        ("arch", {"arch"}),
    )
    family = next((family for family, members in families if members & like), "")
    return System(
        family, version.is_file() and "microsoft" in version.read_text(errors="replace").lower()
    )


@dataclass(frozen=True)
class Card:
    """The first CUDA card as its driver tells of it."""

    name: str
    driver: str
    total: int
    """MiB, as is `free`."""
    free: int

    def is_older(self, driver: int) -> bool:
        """Whether its driver's major version is below this one; no where it cannot be read."""
        major = self.driver.partition(".")[0]
        return major.isdigit() and int(major) < driver


@dataclass(frozen=True)
class Trial:
    """What a process said that tried something out."""

    facts: dict
    end: str
    """How it ended, in words; "" where it ended well."""


@dataclass(frozen=True)
class Machine:
    """What is looked at."""

    system: System
    folder: Path = Path(".")
    """Where runs are to be kept."""
    card: Card | None = None
    python: str = sys.executable
    """The interpreter whose libraries are tried."""
    headers: str = sysconfig.get_path("include")
    """Where its Python.h is."""

    @cached_property
    def torch(self) -> Trial:
        """torch and what is built on it; it takes seconds."""
        return try_out(self.python, TORCH_TRIAL)

    @property
    def install(self) -> str:
        """The command that installs all of coldstart's libraries."""
        requirements = "requirements-cpu.txt" if self.card is None else "requirements.txt"
        return f"{self.python} -m pip install -r {requirements}"


def try_out(python: str, code: str) -> Trial:
    """Run `code`, which prints facts as JSON, in a process of its own."""
    try:
        # -P: else a file named torch.py in this folder would be loaded.
        done = subprocess.run(
            [python, "-P", "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **unsloth_import.settings()},
        )
    except subprocess.TimeoutExpired:
        return Trial({}, "it takes too long")
    except OSError as error:
        return Trial({}, str(error))
    facts: dict = {}
    for line in done.stdout.splitlines():
        try:
            facts.update(json.loads(line))
        except (ValueError, TypeError):  # a library's own words
            continue
    if not done.returncode:
        return Trial(facts, "")
    if done.returncode < 0:
        return Trial(facts, f"signal {-done.returncode}")
    errors = done.stderr.strip().splitlines()
    return Trial(facts, errors[-1][:300] if errors else f"exit code {done.returncode}")
