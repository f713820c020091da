"""lora: low-rank matrices beside the linear layers learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import value
from hfrecipes.strategies._low_rank import LowRank

if TYPE_CHECKING:
    from peft import PeftConfig


@value
class Lora(LowRank):
    """Low-rank matrices beside the linear layers learn, and the head (LoRA, Hu et al. 2022, arXiv:2106.09685)."""

    rate_factor: ClassVar[float] = 10.0
    rate_source: ClassVar[str] = "Hu et al. 2022, arXiv:2106.09685, appendix D (2e-4 to 5e-4)"

    def config(self, **shared: Any) -> PeftConfig:
        from peft import LoraConfig

        return LoraConfig(r=self.r, **shared)
