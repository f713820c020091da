"""layer_decay: the nearer to the input, the slower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class LayerDecay(Strategy):
    """Every weight is trained, each block `decay` times as fast as the one above it (discriminative fine-tuning, Howard and
    Ruder 2018, arXiv:1801.06146; layer-wise learning rate decay, Zhang et al. 2021, arXiv:2006.05987).

    The head learns at the learning rate itself; a decoder's blocks lie above its encoder's.
    """

    decay: Annotated[float, Field(gt=0, le=1)] = 0.9

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        model.requires_grad_(True)
        return model

    def rates(self, model: PreTrainedModel) -> Mapping[str, float]:
        from hfrecipes.strategies._stages import falling_rates

        return falling_rates(model, self.decay)

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        return model
