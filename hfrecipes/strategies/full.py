"""full: every weight is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Full(Strategy):
    """Every weight is trained (Howard and Ruder 2018, arXiv:1801.06146, call it full fine-tuning)."""

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        model.requires_grad_(True)
        return model

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        return model
