"""frozen_encoder: the decoder alone learns; the encoder is run once for each text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.errors import RecipeError
from hfrecipes.family import stacks
from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class FrozenEncoder(Strategy):
    """The decoder alone learns, and its head; the encoder and all embeddings stay as they are, as in "shrink and fine-tune"
    (Shleifer and Rush 2020, arXiv:2010.13002) with a decoder of which `model.layers` has kept some blocks.

    What the encoder says is computed once and read from the feature store, without its dropout; `cached: false` computes it at
    every step as a plain Trainer does.
    """

    cached: bool = True

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        if family.architecture != "encoder-decoder":
            raise RecipeError(f"strategy.{self.name}", f"{family.name} has no encoder beside a decoder", "Take full")
        model.get_encoder().requires_grad_(False)
        return model

    def frozen_blocks(self, model: PreTrainedModel, epoch: int) -> int:
        return stacks(model)[0] if self.cached else 0

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        model.requires_grad_(True)
        return model
