"""mixout: every weight is trained, and at each step a share of them is what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.family import linear_layers
from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Mixout(Strategy):
    """Every weight is trained; at each step the share `p` of the weights of the linear layers is the pretrained one instead
    (mixout, Lee et al. 2020, arXiv:1909.11299). For large models and few rows, where full fine-tuning falls over.

    It costs another copy of those weights, and drawing the masks.
    """

    p: Annotated[float, Field(ge=0, lt=1)] = 0.7

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        from torch.nn.utils.parametrize import register_parametrization

        from hfrecipes.strategies._mixture import Mixture

        model.requires_grad_(True)
        for name in linear_layers(model):
            layer = model.get_submodule(name)
            register_parametrization(layer, "weight", Mixture(layer.weight, self.p), unsafe=True)
        return model

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

        for layer in list(model.modules()):
            if is_parametrized(layer, "weight"):
                layer.eval()
                remove_parametrizations(layer, "weight")
        return model
