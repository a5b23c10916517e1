"""A card that is the processor, so that unsloth's own code runs where there is none: its Triton
kernels through Triton's interpreter, bitsandbytes' CUDA entry points through its functional ones.

    import tests.cuda_stand_in        # before everything else: what torch says of cards changes
    tests.cuda_stand_in.prepare()     # unsloth is imported, and what it takes of a card replaced

It shows wiring and numbers, not speed or memory. Half precision is float16, for numpy, which the
interpreter computes with, has no bfloat16. CONTRIBUTING.md says what must be in PYTHONPATH.
"""

import contextlib
import os
import sys
from types import SimpleNamespace
from typing import Any

os.environ |= {
    "TRITON_INTERPRET": "1",
    "UNSLOTH_ALLOW_CPU": "1",
    "UNSLOTH_COMPILE_DISABLE": "1",  # torch.compile would take minutes
    "HF_HUB_OFFLINE": "1",
}
import torch  # noqa: E402

torch._C._cuda_getCurrentRawStream = lambda *device: 0
import bitsandbytes.functional as bitsandbytes  # noqa: E402  # while there is no card yet
from torch.overrides import TorchFunctionMode  # noqa: E402

MEMORY = 8 << 30
PROPERTIES = SimpleNamespace(
    name="stand-in", total_memory=MEMORY, major=8, minor=0, multi_processor_count=4, warp_size=32
)


class Nothing:
    """A stream, an event, a device that is entered: nothing happens."""

    idx, cuda_stream = 0, 0

    def __init__(self, *args: Any, **settings: Any) -> None: ...

    def __enter__(self) -> "Nothing":
        return self

    def __exit__(self, *error: object) -> None: ...

    def wait_stream(self, *args: Any) -> None: ...

    wait_event = synchronize = wait_stream

    def record_event(self, *args: Any) -> "Nothing":
        return self


def _said(**values: Any) -> None:
    """torch.cuda says these."""
    for name, value in values.items():
        setattr(torch.cuda, name, lambda *args, value=value, **settings: value)


_said(
    is_available=True,
    is_initialized=True,
    is_bf16_supported=True,
    device_count=1,
    current_device=0,
    get_device_properties=PROPERTIES,
    get_device_capability=(8, 0),
    get_device_name="stand-in",
    mem_get_info=(MEMORY, MEMORY),
    get_per_process_memory_fraction=1.0,
    memory_allocated=0,
    max_memory_allocated=0,
    memory_reserved=0,
    max_memory_reserved=0,
    get_rng_state=torch.zeros(1, dtype=torch.uint8),
    current_stream=Nothing(),
    default_stream=Nothing(),
    stream=contextlib.nullcontext(),
    _lazy_init=None,
    empty_cache=None,
    synchronize=None,
    reset_peak_memory_stats=None,
    manual_seed=None,
    manual_seed_all=None,
    set_rng_state=None,
    set_device=None,
)
torch.cuda.Stream = torch.cuda.Event = torch.cuda.device = torch.cuda.device_of = Nothing


class OnTheProcessor(TorchFunctionMode):
    """Whatever is to go to a card stays here."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = {k: _here(v) if k == "device" else v for k, v in (kwargs or {}).items()}
        kwargs.pop("pin_memory", None)
        name = getattr(func, "__name__", "")
        if func is torch.device and (args[0] is None or _here(args[0]) != args[0]):
            return func("cpu", 0)
        if name in ("cuda", "pin_memory"):
            return args[0]
        if name == "to":
            args = (args[0], *map(_here, args[1:]))
        return func(*args, **kwargs)


def _here(device: Any) -> Any:
    if type(device) is int or str(device).startswith("cuda"):
        return "cpu"
    return device


OnTheProcessor().__enter__()


def prepare() -> None:
    """unsloth as `coldstart` imports it, with what it takes of a card replaced."""
    from recipes.learning.unsloth_import import import_unsloth

    import_unsloth()
    import transformers
    import unsloth.models.loader as loader

    loader.ALLOW_BITSANDBYTES = True
    for name, module in list(sys.modules.items()):
        if name.startswith("unsloth") and "fast_dequantize" in vars(module):
            module.fast_dequantize = _dequantize
    _replace(transformers.PreTrainedModel, device_map={"": "cpu"})
    _replace(loader.FastLanguageModel, dtype=torch.float16)


def _replace(owner: type, **settings: Any) -> None:
    """`from_pretrained` with these in place of what it is given."""
    original = owner.__dict__["from_pretrained"]

    def changed(cls: type, *args: Any, **given: Any) -> Any:
        return original.__get__(None, cls)(*args, **{**given, **settings})

    owner.from_pretrained = classmethod(changed)


def _dequantize(W, quant_state=None, out=None, use_global_buffer=False, dtype=None):
    """A 4-bit matrix, or its transpose, as numbers."""
    if quant_state is None:
        return W
    turned = W.shape[0] == 1
    made = bitsandbytes.dequantize_4bit((W.t() if turned else W).data, quant_state)
    return made.t() if turned else made
