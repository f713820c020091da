"""adalora: low-rank matrices, with more rank where it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerCallback

    from hfrecipes.family import Family


@value
class Adalora(Strategy):
    """Low-rank matrices as in `lora`, with more rank where it matters (AdaLoRA, Zhang et al. 2023, arXiv:2303.10512).

    All layers start with `start_r`; from a tenth of the steps to seven tenths the least important ranks are dropped until `r` a
    layer are left on average.
    """

    r: Annotated[int, Field(gt=0)] = 8
    start_r: Annotated[int, Field(gt=0)] = 12
    alpha: Annotated[int, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: tuple[str, ...] = ()

    rate_factor: ClassVar[float] = 20.0
    rate_source: ClassVar[str] = "Zhang et al. 2023, arXiv:2303.10512, appendix D (5e-4 to 1e-3)"

    def prepare(self, model: PreTrainedModel, family: Family) -> Any:
        from peft import AdaLoraConfig

        from hfrecipes.strategies._adapters import heads, targets, transposed, wrap

        where = f"strategy.{self.name}"
        config = AdaLoraConfig(
            target_r=self.r,
            init_r=self.start_r,
            total_step=10,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(model, self.target_modules, where),
            fan_in_fan_out=transposed(model),
            modules_to_save=heads(model) or None,
        )
        return wrap(model, config, where)

    def callbacks(self, model: PreTrainedModel, epochs: float) -> list[TrainerCallback]:
        from hfrecipes.strategies._rank_budget import RankBudget

        return [RankBudget()]

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from hfrecipes.strategies._adapters import merged

        return merged(model)
