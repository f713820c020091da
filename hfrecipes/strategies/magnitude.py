"""magnitude: every weight is trained, and the smallest become zero, more and more of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from hfrecipes.part import value
from hfrecipes.strategies._growing import Growing
from hfrecipes.zeros import apply, matrices, smallest

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Magnitude(Growing):
    """Every weight is trained, and the smallest of the linear layers become zero, more and more of them, over all matrices
    (`scope: global`) or in each (`local`): gradual magnitude pruning (Zhu and Gupta 2017, arXiv:1710.01878). A weight that is
    zero stays so."""

    scope: Literal["local", "global"] = "global"

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        model.requires_grad_(True)
        return model

    def choose_zeros(self, model: Any, share: float) -> Mapping[str, Tensor]:
        kept = smallest({name: weight.detach().abs() for name, weight in matrices(model).items()}, share, self.scope == "global")
        apply(model, kept)
        return kept

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        return model
