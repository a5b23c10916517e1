"""The mean of the student's adapter and an earlier one, in place of learning from it.

    for step in average(student, checkpoint_folder, share=0.5): ...

Both matrices of every layer are averaged, number by number. Weights of one model that was trained
further lie in one basin, where their mean is no worse than either (Wortsman et al. 2022, "Model
soups", arXiv:2203.05482).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from recipes.learning.student import Student


@dataclass(frozen=True)
class Step:
    """The one step that it takes."""

    share: float
    """Of the earlier adapter."""
    step: int = 1
    steps: int = 1


@torch.no_grad()
def average(student: Student, folder: Path, share: float) -> Iterator[Step]:
    """Move the adapter by `share` of the way to that of checkpoint `folder`. Raises UsageError
    where that is damaged, or of another model."""
    earlier = student.adapter.read(folder)
    for key, parameter in student.adapter.tensors().items():
        parameter.lerp_(earlier[key].to(parameter), share)
    yield Step(share)
