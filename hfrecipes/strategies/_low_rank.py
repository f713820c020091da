"""What lora, dora and adalora share: low-rank matrices beside linear layers, added to the weights in the end."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies._adapters import Adapted, heads, targets, transposed, wrap

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class LowRank(Adapted):
    """Base of strategies with low-rank matrices.

    `r` is the rank; what the matrices add is multiplied by `alpha / r`. `target_modules` names linear layers of the blocks, all
    of them where it is empty. The trained matrices are added to the weights.
    """

    r: Annotated[int, Field(gt=0)] = 8
    alpha: Annotated[int, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: tuple[str, ...] = ()

    @abstractmethod
    def config(self, **shared: Any) -> PeftConfig:
        """PEFT's configuration; `shared` is what all of them take alike."""

    def prepare(self, model: PreTrainedModel, family: Family) -> Any:
        where = f"strategy.{self.name}"
        config = self.config(
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets(model, self.target_modules, where),
            fan_in_fan_out=transposed(model),
            modules_to_save=heads(model) or None,
        )
        return wrap(model, config, where)
