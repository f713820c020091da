"""What lora, dora and adalora share: low-rank matrices beside linear layers, added to the weights in the end."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class LowRank(Strategy):
    """Base of strategies with low-rank matrices.

    `r` is the rank; what the matrices add is multiplied by `alpha / r`. `target_modules` names linear layers of the blocks, all
    of them where it is empty. The trained matrices are added to the weights: the result is a plain model. `keep_adapter` writes
    them as an adapter of PEFT, too, in the folder `adapter` beside it.
    """

    r: Annotated[int, Field(gt=0)] = 8
    alpha: Annotated[int, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: tuple[str, ...] = ()
    keep_adapter: bool = False

    @abstractmethod
    def config(self, **shared: Any) -> PeftConfig:
        """PEFT's configuration; `shared` is what all of them take alike."""

    def prepare(self, model: PreTrainedModel, family: Family) -> Any:
        from hfrecipes.strategies._adapters import heads, targets, transposed, wrap

        where = f"strategy.{self.name}"
        config = self.config(
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(model, self.target_modules, where),
            fan_in_fan_out=transposed(model),
            modules_to_save=heads(model) or None,
        )
        return wrap(model, config, where)

    def save_extra(self, model: Any, folder: Path) -> None:
        from hfrecipes.strategies._adapters import save_adapter

        if self.keep_adapter:
            save_adapter(model, folder)

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from hfrecipes.strategies._adapters import merged

        return merged(model)
