"""one_cycle: one rise and one fall of the learning rate, with the momentum against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.schedules import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@value
class OneCycle(Schedule):
    """From the learning rate over `div_factor` up to it in the share `pct_start` of the steps, then down to that beginning over
    `final_div_factor`; the momentum (of Adam: its first beta) goes the other way (Smith and Topin 2019, arXiv:1708.07120)."""

    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    div_factor: Annotated[float, Field(ge=1)] = 25.0
    final_div_factor: Annotated[float, Field(ge=1)] = 1e4

    def build(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        from torch.optim.lr_scheduler import OneCycleLR

        given = optimizer.defaults
        return OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=max(2, steps),
            pct_start=self.pct_start,
            div_factor=self.div_factor,
            final_div_factor=self.final_div_factor,
            cycle_momentum="betas" in given or bool(given.get("momentum")),
        )
