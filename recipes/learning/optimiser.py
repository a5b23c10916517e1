"""The optimiser of the adapter, with what a checkpoint keeps of it.

optimiser = Optimiser(parameters, device)
norm = optimiser.step(lr=1e-4, clip=1.0)
"""

from pathlib import Path
from typing import Any

import torch

from recipes.learning.loading import first_line
from recipes.runfolder.checkpoint import OPTIMISER
from sandbox.errors import UsageError


class Optimiser:
    """AdamW (Loshchilov & Hutter 2019) without weight decay over the adapter's parameters."""

    def __init__(self, parameters: list[torch.nn.Parameter], device: torch.device) -> None:
        self._parameters = parameters
        self.adamw = _adamw(parameters, device)

    def step(self, lr: float, clip: float) -> float:
        """One step with the accumulated gradient; returns its norm before clipping to `clip`.

        A norm that is not finite means that the step was *not* taken. The gradient is cleared
        either way.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, clip))
        if norm == norm and norm != float("inf"):
            for group in self.adamw.param_groups:
                group["lr"] = lr
            self.adamw.step()
        self.clear()
        return norm

    def clear(self) -> None:
        """Forget the accumulated gradient."""
        self.adamw.zero_grad(set_to_none=True)

    def forget(self) -> None:
        """Begin anew: no moments, no gradient."""
        self.adamw.state.clear()
        self.clear()

    def state(self) -> dict[str, Any]:
        """A copy of all that the next step depends on beside the gradient."""
        return _cloned(self.adamw.state_dict())

    def load(self, state: dict[str, Any]) -> None:
        """Take a state that `state` gave, as often as needed. The gradient is cleared."""
        # A copy again, because the optimiser would go on to write into the tensors that it is
        # given.
        self.adamw.load_state_dict(_cloned(state))
        self.clear()

    def write(self, folder: Path) -> None:
        """The file of a checkpoint."""
        torch.save(self.adamw.state_dict(), folder / OPTIMISER)

    def read(self, folder: Path) -> None:
        """Take the state of a checkpoint; a fresh one where it has none, as it was trained
        elsewhere. Raises UsageError where it cannot be used."""
        if not (folder / OPTIMISER).is_file():
            self.adamw.state.clear()
            return
        try:
            state = torch.load(folder / OPTIMISER, map_location="cpu", weights_only=True)
            self.adamw.load_state_dict(state)
        except Exception as error:  # torch.load has no class of its own for what it cannot read
            raise UsageError(
                f"The optimiser in checkpoint {folder} cannot be used ({first_line(error)}). "
                "Use another checkpoint."
            ) from None


def warmed_up(lr: float, warmup: int, number: int) -> float:
    """The learning rate of step `number`, counted from 1: linear up to `lr` over `warmup` steps,
    then constant."""
    return lr * min(1.0, number / max(1, warmup))


def _adamw(parameters: list[torch.nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """On CUDA bitsandbytes' 8-bit one (arXiv:2110.02861): the same rule in less memory. Not its
    paged one: the states are 40 to 140 MB, and the memory that it shares with the CPU, which reads
    it for snapshots and checkpoints, is not safe to read under WSL2 before the card is done."""
    if device.type == "cuda":
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(parameters, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)
    return torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)


def _cloned(tree: Any) -> Any:
    """A deep copy of nested dicts and lists with the tensors copied on their device."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().clone()
    if isinstance(tree, dict):
        return {key: _cloned(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_cloned(value) for value in tree)
    return tree
