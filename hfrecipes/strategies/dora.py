"""dora: low-rank matrices turn the weights, a factor scales them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Dora(Strategy):
    """Low-rank matrices turn the weights and a factor a column scales them (DoRA, Liu et al. 2024, arXiv:2402.09353).

    The fields are those of `lora`.
    """

    r: Annotated[int, Field(gt=0)] = 8
    alpha: Annotated[int, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: tuple[str, ...] = ()

    rate_factor: ClassVar[float] = 10.0
    rate_source: ClassVar[str] = "Liu et al. 2024, arXiv:2402.09353, appendix A (1e-4 to 4e-4)"

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
            use_dora=True,
            modules_to_save=heads(model) or None,
        )
        return wrap(model, config, where)

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from hfrecipes.strategies._adapters import merged

        return merged(model)
