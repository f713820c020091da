"""What strategies that set more and more weights to zero share: how many are zero after a share of the training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, model_validator

from hfrecipes.part import value
from hfrecipes.strategies import Strategy
from hfrecipes.zeros import Sparsity, apply, masks

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import TrainerCallback

EVERY = 10
"""Steps between two choices of what is zero."""
Moment = Annotated[float, Field(ge=0, le=1)]


@value
class Growing(Strategy):
    """Base of strategies at whose end the share `sparsity` of the weights of linear layers is zero. The share grows from the
    share `begin` of the training to the share `end`, fast at first (the cubic schedule of Zhu and Gupta 2017, arXiv:1710.01878).
    """

    last_is_best: ClassVar[bool] = True

    sparsity: Sparsity = 0.5
    begin: Moment = 0.1
    end: Moment = 0.7

    @model_validator(mode="after")
    def _ordered(self) -> Any:
        if self.begin >= self.end:
            raise ValueError(f"begins at {self.begin}, which is not before its end at {self.end}")
        return self

    def at(self, share: float) -> float:
        """The share of zeros after this share of the training."""
        done = min(1.0, max(0.0, (share - self.begin) / (self.end - self.begin)))
        return float(self.sparsity * (1 - (1 - done) ** 3))

    @abstractmethod
    def choose_zeros(self, model: Any, share: float) -> Mapping[str, Tensor]:
        """Set this share of the weights of a prepared model to zero; gives masks of the others where steps would undo it."""

    def callbacks(self, model: Any, epochs: float) -> list[TrainerCallback]:
        from transformers import TrainerCallback

        strategy = self

        class Grow(TrainerCallback):
            """Chooses every few steps what is zero, and keeps it so in between."""

            def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                """Called by the Trainer before the first step, also of a training that goes on."""
                self.kept: Mapping[str, Tensor] = masks(model)

            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                """Called by the Trainer before a step."""
                share = strategy.at(state.global_step / max(1, state.max_steps))
                if share > 0 and state.global_step % EVERY == 0:
                    self.kept = strategy.choose_zeros(model, share)

            def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                """Called by the Trainer behind a step of the optimizer."""
                apply(model, self.kept)

        return [Grow()]
