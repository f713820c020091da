"""movement: every weight is trained, and those that move towards zero become zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.family import linear_layers
from hfrecipes.part import value
from hfrecipes.strategies._growing import Growing

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Movement(Growing):
    """Every weight is trained, and beside each a score: weights that training moves towards zero lose it, and those of the lowest
    scores in each matrix are zero, more and more of them (movement pruning, Sanh et al. 2020, arXiv:2005.07683). For high
    sparsities; below a half `magnitude` does as well and costs less. `scores` is the learning rate of the scores over that of the
    weights."""

    scores: Annotated[float, Field(gt=0)] = 30.0

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        from torch.nn.utils.parametrize import register_parametrization

        from hfrecipes.strategies._scores import Scored

        model.requires_grad_(True)
        for name in linear_layers(model):
            layer: Any = model.get_submodule(name)
            register_parametrization(layer, "weight", Scored(layer.weight), unsafe=True)
        return model

    def rates(self, model: PreTrainedModel) -> Mapping[str, float]:
        return {name: self.scores for name, _ in model.named_parameters() if name.endswith(".weight.0.scores")}

    def choose_zeros(self, model: Any, share: float) -> Mapping[str, Tensor]:
        for layer in model.modules():
            for scored in _scored(layer):
                scored.choose(share)
        return {}

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from torch.nn.utils.parametrize import remove_parametrizations

        for layer in list(model.modules()):
            if _scored(layer):
                remove_parametrizations(layer, "weight")
        return model


def _scored(layer: Any) -> list[Any]:
    """The scores beside the weights of a layer, where it has any."""
    from torch.nn.utils.parametrize import is_parametrized

    return list(layer.parametrizations.weight) if is_parametrized(layer, "weight") else []
