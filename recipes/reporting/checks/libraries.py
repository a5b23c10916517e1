"""torch, what is built on it, and llama.cpp: each tried in another process."""

from recipes.reporting.checks.machine import HEADERS, Check, Machine, fault, note, ok, try_out

LLAMA_TRIAL = """
import json, llama_cpp
print(json.dumps({"version": llama_cpp.__version__, "gpu": bool(llama_cpp.llama_supports_gpu_offload())}))
"""
LEAST_DRIVER = {"12": 525, "13": 580}
"""{CUDA's major version: first driver that runs programs built for it}, as NVIDIA's table of minor
version compatibility has it."""
LARGEST_ERROR = 0.2
"""Of a product in NF4, relative; it is about 0.1."""


def check_torch(machine: Machine) -> Check:
    facts, end = machine.torch.facts, machine.torch.end
    if "torch" not in facts:
        return fault("torch", f"cannot be loaded: {end}", machine.install)
    processor = "built for the processor alone"
    cuda = facts["built_for"]
    built = f"{facts['torch']}, {f'built for CUDA {cuda}' if cuda else processor}"
    least = LEAST_DRIVER.get((cuda or "").partition(".")[0], 0)
    if machine.card and not facts["cuda"] and machine.card.is_older(least):
        return fault(
            "torch",
            f"{built}, which wants a driver of {least} or newer",
            f'a newer driver, or {machine.python} -m pip install "torch<2.11" (CUDA 12, driver '
            f"{LEAST_DRIVER['12']})",
        )
    if machine.card and not facts["cuda"]:
        return fault(
            "torch",
            f"{built}, and does not see the card",
            f"{machine.python} -m pip install --force-reinstall torch   "
            "(with the build for CUDA that your driver can run)",
        )
    return ok("torch", built)


def check_four_bits(machine: Machine) -> Check | None:
    """A product in 4 bits, and how far it was off; None where there is no torch."""
    facts = machine.torch.facts
    if "torch" not in facts:
        return None
    if "error" not in facts:
        return fault("4-bit", f"bitsandbytes does not work: {machine.torch.end}", machine.install)
    words = (
        f"bitsandbytes {facts['bitsandbytes']}: a product in NF4 on the "
        f"{'card' if facts['cuda'] else 'processor'} was off by {100 * facts['error']:.0f} %, "
    )
    if facts["error"] < LARGEST_ERROR:
        return ok("4-bit", words + "as rounding to 4 bits makes it")
    words += f"more than the {100 * LARGEST_ERROR:.0f} % that rounding explains"
    return fault("4-bit", words, machine.install)


def check_model_libraries(machine: Machine) -> Check | None:
    """None where what they are built on does not work."""
    facts, end = machine.torch.facts, machine.torch.end
    if "error" not in facts:
        return None
    if "transformers" in facts:
        words = f"transformers {facts['transformers']}, peft {facts['peft']}"
        return ok("model libraries", words)
    if not machine.card and "torchvision" in end:
        return fault(
            "model libraries",
            f"torchvision does not fit this build of torch: {end}",
            f"{machine.python} -m pip uninstall -y torchvision unsloth",
        )
    return fault("model libraries", f"cannot be loaded: {end}", machine.install)


def check_unsloth(machine: Machine) -> Check | None:
    """None where there is no card for it."""
    facts = machine.torch.facts
    if "error" not in facts or not facts["cuda"]:
        return None
    if "kernel" in facts:
        return ok("unsloth", f"{facts['unsloth']}, and a kernel of it was compiled")
    if "unsloth" in facts:
        words = f"{facts['unsloth']}, but a kernel of it does not compile: {machine.torch.end}"
        return fault("unsloth", words, machine.system.install(HEADERS))
    return note(
        "unsloth",
        "is not there or does not load: training goes through plain transformers, slower and with "
        "more memory",
        machine.install,
    )


def check_llama(machine: Machine) -> Check:
    """llama.cpp, asked what it was built for."""
    trial = try_out(machine.python, LLAMA_TRIAL)
    if not trial.facts:
        return note(
            "llama.cpp",
            f"llama-cpp-python cannot be loaded ({trial.end}): the training model samples itself",
            f"{machine.python} -m pip install -r requirements-cpu.txt",
        )
    version, gpu = trial.facts["version"], trial.facts["gpu"]
    if machine.card and not gpu:
        return note(
            "llama.cpp",
            f"llama-cpp-python {version} is built without CUDA: the training model samples itself. "
            "The command below wants nvcc, of NVIDIA's CUDA toolkit",
            # --no-deps: else pip may put another torch in place of the one that fits the card.
            f'CMAKE_ARGS="-DGGML_CUDA=on" {machine.python} -m pip install --force-reinstall '
            f'--no-deps --no-cache-dir --no-binary llama-cpp-python "llama-cpp-python=={version}"',
        )
    built_for = "a card" if gpu else "the processor"
    return ok("llama.cpp", f"llama-cpp-python {version}, built for {built_for}")
