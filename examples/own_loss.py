"""A loss of one's own: a student is told only where its teacher is sure.

objective:
  distill:
    teacher: runs/big
    losses: [examples/own_loss.py: {least: 0.9}]
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from hfrecipes.losses import Loss, Reads
from hfrecipes.part import value


@value
class WhereSure(Loss):
    """The cross-entropy of the teacher's likeliest choice where the teacher gives it a chance of at least `least`."""

    least: Annotated[float, Field(gt=0, lt=1)] = 0.8

    reads: ClassVar[Reads] = "answers"

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        chance, choice = teacher.float().softmax(-1).max(-1)
        missed = -student.float().log_softmax(-1).gather(-1, choice[..., None])[..., 0]
        return torch.where(chance >= self.least, missed, 0.0)
