"""Schedule: how the learning rate changes from the first step to the last."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from hfrecipes.part import Part

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


class Schedule(Part, kind="schedules"):
    """Base of schedules. Each group of parameters keeps its share of the rate: what falls with the depth falls all along.

    Works in any Trainer: `Trainer(..., optimizers=(optimizer, OneCycle().build(optimizer, steps)))`.
    """

    @abstractmethod
    def build(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """The scheduler of torch for a training of so many optimizer steps."""
