"""ia3: factors on keys, values and the inner layer learn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class Ia3(Strategy):
    """A factor for each unit of keys, values and the feed-forward's inside learns, and the head (IA3, Liu et al. 2022,
    arXiv:2205.05638). The factors are multiplied into the weights: the result is a plain model. `keep_adapter` writes them
    as an adapter of PEFT, too, in the folder `adapter` beside it."""

    keep_adapter: bool = False

    rate_factor: ClassVar[float] = 100.0
    rate_source: ClassVar[str] = "Liu et al. 2022, arXiv:2205.05638, section 3.5 (3e-3)"

    def prepare(self, model: PreTrainedModel, family: Family) -> Any:
        from peft import IA3Config

        from hfrecipes.strategies._adapters import heads, transposed, wrap

        config = IA3Config(fan_in_fan_out=transposed(model), modules_to_save=heads(model) or None)
        return wrap(model, config, f"strategy.{self.name}")

    def save_extra(self, model: Any, folder: Path) -> None:
        from hfrecipes.strategies._adapters import save_adapter

        if self.keep_adapter:
            save_adapter(model, folder)

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from hfrecipes.strategies._adapters import merged

        return merged(model)
