"""supervised: the loss that the model's own head defines for its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.objectives import LossFn, Objective
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Supervised(Objective):
    """The loss that the model's own head defines: cross-entropy for classes and tokens, binary cross-entropy for several
    labels, squared error for numbers."""

    def bind(self, model: PreTrainedModel, family: Family) -> LossFn:
        return _loss


def _loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
    outputs = model(**batch)
    return outputs.loss, outputs
