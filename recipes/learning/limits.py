"""How much is computed at once, and what is done when memory did not suffice for it.

limits = MemoryLimits(4096, device, notes)
stats = limits.fitting(work, parameters, longest=900)    # again in halves, until it fits
batch = limits.sampling(work, rows=64, tokens=64 * 200)    # None: come with less
"""

from collections.abc import Callable
from typing import TypeVar

import torch

from sandbox.errors import UsageError

LEAST_MICRO_TOKENS = 64
"""Below this a smaller micro-batch saves nothing, for it is one completion already."""

MICRO, SAMPLING = "micro_tokens", "sampling_tokens"
"""The counters by which a checkpoint remembers that memory ran out, and with how much less it is
not known to."""

TOO_LITTLE_MEMORY = (
    "Memory does not suffice for even one completion and its prompt. Choose a recipe for a smaller "
    "card, lower student.max_prompt, or close other programs that use the card."
)

Result = TypeVar("Result")


class MemoryLimits:
    """Batch sizes in tokens. They only ever become smaller."""

    def __init__(self, micro_tokens: int, device: torch.device, notes: list[str]) -> None:
        """`notes`: where sentences for a person are added."""
        self._device, self._notes = device, notes
        self.planned = micro_tokens
        """`micro_tokens` as long as memory has sufficed."""
        self.micro_tokens = micro_tokens
        """Padded tokens in one forward and backward pass; a single sample may have more. Halved
        when memory runs out."""
        self.sampling_tokens: int | None = None
        """The most padded tokens, prompts and completions together, of a batch that the training
        model samples; None: what its engine's own limits allow. Set when memory runs out."""

    def fitting(
        self, work: Callable[[], Result], parameters: list[torch.nn.Parameter], longest: int
    ) -> Result:
        """What `work()` returns. Where memory runs out it is called again, with micro-batches of
        half the size and the parameters' gradient as it was; not where they were as small as the
        longest sample (tokens) already. Raises UsageError when memory does not suffice for it."""
        before = [
            parameter.grad if parameter.grad is None else parameter.grad.clone()
            for parameter in parameters
        ]
        while True:
            try:
                return work()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Only here, because the error holds on to everything that the failed pass had made.
            for parameter, grad in zip(parameters, before):
                parameter.grad = grad if grad is None else grad.clone()
            if self.micro_tokens <= max(LEAST_MICRO_TOKENS, longest):
                raise UsageError(TOO_LITTLE_MEMORY)
            self.micro_tokens //= 2
            self._say_halved(f"computed {self.micro_tokens} tokens at a time")

    def sampling(self, work: Callable[[], Result], rows: int, tokens: int) -> Result | None:
        """What `work()` returns: a batch of `rows` completions, `tokens` padded ones with their
        prompts. None where memory ran out; then `sampling_tokens` is half of `tokens`, and the
        caller is to come with less. Raises UsageError when memory does not suffice for one.
        """
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Only here, because the error holds on to everything that the batch had made.
        if rows == 1:
            raise UsageError(TOO_LITTLE_MEMORY)
        self.sampling_tokens = tokens // 2
        self._say_halved(f"sampled {rows // 2} at a time where they are as long as these")
        return None

    def counters(self) -> dict[str, int]:
        """What a checkpoint is to remember: nothing, unless memory ran out."""
        found = {}
        if self.micro_tokens != self.planned:
            found[MICRO] = self.micro_tokens
        if self.sampling_tokens is not None:
            found[SAMPLING] = self.sampling_tokens
        return found

    def take(self, counters: dict) -> None:
        """Move what `counters` gave out of a checkpoint's counters; an older checkpoint brings
        nothing back that did not fit."""
        self.micro_tokens = min(self.micro_tokens, counters.pop(MICRO, self.micro_tokens))
        limits = {self.sampling_tokens, counters.pop(SAMPLING, None)} - {None}
        self.sampling_tokens = min(limits, default=None)

    def _say_halved(self, how: str) -> None:
        self._notes.append(
            f"Memory ran out. The same rollouts are now {how}; nothing is lost, and the run will "
            "keep to this."
        )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is torch's, CUDA's or the CPU allocator's way of saying that there is no memory
    left."""
    text = str(error)
    return (
        isinstance(error, (torch.OutOfMemoryError, MemoryError))
        or isinstance(error, RuntimeError)
        and any(
            sign in text
            for sign in ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
        )
    )
