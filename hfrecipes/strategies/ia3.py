"""ia3: factors on keys, values and the inner layer learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import value
from hfrecipes.strategies._adapters import Adapted, heads, transposed, wrap

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Ia3(Adapted):
    """A factor for each unit of keys, values and the feed-forward's inside learns, and the head (IA3, Liu et al. 2022,
    arXiv:2205.05638). The factors are multiplied into the weights."""

    rate_factor: ClassVar[float] = 100.0
    rate_source: ClassVar[str] = "Liu et al. 2022, arXiv:2205.05638, section 3.5 (3e-3)"

    def prepare(self, model: PreTrainedModel, family: Family) -> Any:
        from peft import IA3Config

        config = IA3Config(fan_in_fan_out=transposed(model), modules_to_save=heads(model) or None)
        return wrap(model, config, f"strategy.{self.name}")
