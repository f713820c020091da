"""linear: up in a warm-up, then down to nothing in a straight line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.schedules import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@value
class Linear(Schedule):
    """Up in a straight line for the share `warmup` of the steps, then down to 0 in one (Devlin et al. 2019, arXiv:1810.04805)."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def build(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        from transformers import get_linear_schedule_with_warmup

        built: LRScheduler = get_linear_schedule_with_warmup(optimizer, round(self.warmup * steps), steps)
        return built
