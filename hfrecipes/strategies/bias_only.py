"""bias_only: the biases and the head learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hfrecipes.errors import RecipeError
from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class BiasOnly(Strategy):
    """The biases and the head learn (BitFit, Ben Zaken et al. 2022, arXiv:2106.10199)."""

    rate_factor: ClassVar[float] = 10.0
    rate_source: ClassVar[str] = "Ben Zaken et al. 2022, arXiv:2106.10199, appendix A (1e-4 to 1e-3)"

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        from hfrecipes.family import depths

        found = depths(model)
        top = max(found.values())
        biases = {name for name in found if name.endswith(".bias")}
        if not any(found[name] < top for name in biases):
            raise RecipeError(f"strategy.{self.name}", "this model has no biases in its body", "Take lora or ia3")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in biases or found[name] == top)
        return model

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        model.requires_grad_(True)
        return model
