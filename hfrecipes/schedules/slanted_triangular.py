"""slanted_triangular: up fast, down slowly, never to nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.schedules import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@value
class SlantedTriangular(Schedule):
    """Up in a straight line for the share `cut_frac` of the steps, then down in one to the learning rate over `ratio` (ULMFiT,
    Howard and Ruder 2018, arXiv:1801.06146, equation 3)."""

    cut_frac: Annotated[float, Field(gt=0, lt=1)] = 0.1
    ratio: Annotated[float, Field(ge=1)] = 32.0

    def build(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, partial(self.factor, steps=steps))

    def factor(self, step: int, steps: int) -> float:
        """By how much the learning rate is multiplied at a step."""
        cut = max(1, int(steps * self.cut_frac))
        share = step / cut if step < cut else 1 - (step - cut) / max(1, steps - cut)
        return (1 + max(0.0, share) * (self.ratio - 1)) / self.ratio
