"""adalora: low-rank matrices, with more rank where it matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies._low_rank import LowRank

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel, TrainerCallback


@value
class Adalora(LowRank):
    """Low-rank matrices as in `lora`, with more rank where it matters (AdaLoRA, Zhang et al. 2023, arXiv:2303.10512).

    All layers start with `start_r`; from a tenth of the steps to seven tenths the least important ranks are dropped until `r` a
    layer are left on average.
    """

    start_r: Annotated[int, Field(gt=0)] = 12

    rate_factor: ClassVar[float] = 20.0
    rate_source: ClassVar[str] = "Zhang et al. 2023, arXiv:2303.10512, appendix D (5e-4 to 1e-3)"

    def config(self, **shared: Any) -> PeftConfig:
        from peft import AdaLoraConfig

        return AdaLoraConfig(target_r=self.r, init_r=self.start_r, total_step=10, **shared)

    def callbacks(self, model: PreTrainedModel, epochs: float) -> list[TrainerCallback]:
        from hfrecipes.strategies._rank_budget import RankBudget

        return [RankBudget()]
