"""cosine: up in a warm-up, then down to nothing along half a cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.schedules import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@value
class Cosine(Schedule):
    """Up in a straight line for the share `warmup` of the steps, then down to 0 along half a cosine (Loshchilov and Hutter 2017,
    arXiv:1608.03983, without restarts)."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def build(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        from transformers import get_cosine_schedule_with_warmup

        built: LRScheduler = get_cosine_schedule_with_warmup(optimizer, round(self.warmup * steps), steps)
        return built
