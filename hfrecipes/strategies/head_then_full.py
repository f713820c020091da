"""head_then_full: first the head learns, then every weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerCallback

    from hfrecipes.family import Family


@value
class HeadThenFull(Strategy):
    """The head learns alone for `head_epochs`, then every weight does: a head that fits spares the body the large gradients of
    a random one (LP-FT, Kumar et al. 2022, arXiv:2202.10054).

    `cached: false` computes the frozen part anew every epoch and with dropout in it, as a plain Trainer does; else it is
    computed once, without dropout.

    `solver: lbfgs` puts the last layer of a classifier where the loss of the labels is least before the first step (see
    `solved_head.py`): with `head_epochs: 0` that is all that the head learns alone.
    """

    head_epochs: Annotated[int, Field(ge=0)] = 1
    cached: bool = True
    solver: Literal["lbfgs"] | None = None

    @model_validator(mode="after")
    def _learns(self) -> Any:
        if not self.head_epochs and not self.solver:
            raise ValueError(
                "with 0 head_epochs and no solver the head learns nothing alone: write 1 or more, or `solver: lbfgs`"
            )
        return self

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        from hfrecipes.strategies._stages import check_head, check_solver

        check_head(f"strategy.{self.name}", model)
        if self.solver:
            check_solver(f"strategy.{self.name}.solver", model)
        model.requires_grad_(True)
        return model

    def callbacks(self, model: PreTrainedModel, epochs: float) -> list[TrainerCallback]:
        from hfrecipes.family import blocks
        from hfrecipes.strategies._stages import Opening, check_epochs

        head = len(blocks(model)) + 1
        check_epochs(f"strategy.{self.name}.head_epochs", self.head_epochs + 1, epochs)
        return [Opening(model, lambda epoch: head if epoch < self.head_epochs else 0)]

    def frozen_blocks(self, model: PreTrainedModel, epoch: int) -> int:
        from hfrecipes.family import blocks

        return len(blocks(model)) if self.cached and epoch < self.head_epochs else 0

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        return model
