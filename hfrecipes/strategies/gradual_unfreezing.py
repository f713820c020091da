"""gradual_unfreezing: first the head learns, then one block after another from the top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerCallback

    from hfrecipes.family import Family


@value
class GradualUnfreezing(Strategy):
    """First the head learns, then one block more every `epochs_per_stage`, from the top (Howard and Ruder 2018,
    arXiv:1801.06146).

    Each stage opens `blocks_per_stage` blocks; the embeddings open behind the last block where the epochs reach so far, and
    stay as they were elsewhere. `decay` makes each block that many times as fast as the one above it. Weights that are tied to
    the embeddings open with them. `cached: false` computes the frozen part anew every epoch and with dropout in it, as a plain
    Trainer does; else it is computed once a stage, without dropout.
    """

    epochs_per_stage: Annotated[int, Field(gt=0)] = 1
    blocks_per_stage: Annotated[int, Field(gt=0)] = 1
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    cached: bool = True

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        from hfrecipes.strategies._stages import check_head

        check_head(f"strategy.{self.name}", model)
        model.requires_grad_(True)
        return model

    def rates(self, model: PreTrainedModel) -> Mapping[str, float]:
        from hfrecipes.strategies._stages import falling_rates

        return falling_rates(model, self.decay)

    def callbacks(self, model: PreTrainedModel, epochs: float) -> list[TrainerCallback]:
        from hfrecipes.family import blocks
        from hfrecipes.strategies._stages import Opening, check_epochs

        count = len(blocks(model))
        stages = -(-count // self.blocks_per_stage)
        check_epochs(f"strategy.{self.name}.epochs_per_stage", self.epochs_per_stage * stages, epochs)
        return [Opening(model, lambda epoch: self._lowest(count, epoch))]

    def frozen_blocks(self, model: PreTrainedModel, epoch: int) -> int:
        from hfrecipes.family import blocks

        return max(0, self._lowest(len(blocks(model)), epoch) - 1) if self.cached else 0

    def _lowest(self, count: int, epoch: int) -> int:
        """The lowest depth that learns in an epoch, of `count` blocks: above them is the head, below 1 the embeddings."""
        return max(0, count + 1 - epoch // self.epochs_per_stage * self.blocks_per_stage)

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        return model
