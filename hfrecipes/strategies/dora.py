"""dora: low-rank matrices turn the weights, a factor scales them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import value
from hfrecipes.strategies._low_rank import LowRank

if TYPE_CHECKING:
    from peft import PeftConfig


@value
class Dora(LowRank):
    """Low-rank matrices turn the weights and a factor a column scales them (DoRA, Liu et al. 2024, arXiv:2402.09353)."""

    rate_factor: ClassVar[float] = 10.0
    rate_source: ClassVar[str] = "Liu et al. 2024, arXiv:2402.09353, appendix A (1e-4 to 4e-4)"

    def config(self, **shared: Any) -> PeftConfig:
        from peft import LoraConfig

        return LoraConfig(r=self.r, use_dora=True, **shared)
