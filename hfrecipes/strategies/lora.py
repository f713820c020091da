"""lora: low-rank matrices beside the linear layers learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Lora(Strategy):
    """Low-rank matrices beside the linear layers learn, and the head (LoRA, Hu et al. 2022, arXiv:2106.09685).

    `r` is the rank; what the matrices add is multiplied by `alpha / r`. `target_modules` names linear layers of the blocks, all
    of them where it is empty. The trained matrices are added to the weights: the result is a plain model.
    """

    r: Annotated[int, Field(gt=0)] = 8
    alpha: Annotated[int, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: tuple[str, ...] = ()

    rate_factor: ClassVar[float] = 10.0
    rate_source: ClassVar[str] = "Hu et al. 2022, arXiv:2106.09685, appendix D (2e-4 to 5e-4)"

    def prepare(self, model: PreTrainedModel, family: Family) -> Any:
        from peft import LoraConfig

        from hfrecipes.strategies._adapters import heads, targets, transposed, wrap

        where = f"strategy.{self.name}"
        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(model, self.target_modules, where),
            fan_in_fan_out=transposed(model),
            modules_to_save=heads(model) or None,
        )
        return wrap(model, config, where)

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from hfrecipes.strategies._adapters import merged

        return merged(model)
