"""Strategy: which weights are trained, when, and how fast."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hfrecipes.part import Part

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

    from hfrecipes.family import Family


class Strategy(Part, kind="strategies"):
    """Base of strategies.

    `last_is_best`: what is wanted is there at the end of a training alone, whatever an earlier evaluation says. `rate_factor` is
    how many times the usual learning rate of full fine-tuning is usual here, by `rate_source`.
    """

    rate_factor: ClassVar[float] = 1.0
    rate_source: ClassVar[str] = ""
    last_is_best: ClassVar[bool] = False

    def extend(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Change the tokenizer before any row is read with it; gives entries for the model's configuration."""
        return {}

    @property
    def extends(self) -> bool:
        """Whether rows are read with another tokenizer under this strategy."""
        return type(self).extend is not Strategy.extend

    @property
    def solver(self) -> Literal["lbfgs"] | None:
        """What puts the last layer where the loss is least, before the first step; None: steps alone do."""
        return None

    @abstractmethod
    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        """The model as it is trained: with `requires_grad` set for all that is trained at any time, or wrapped."""

    def rates(self, model: PreTrainedModel) -> Mapping[str, float]:
        """By how much the learning rate of a parameter is multiplied, by its name in the prepared model; missing ones by 1."""
        return {}

    def frozen_blocks(self, model: PreTrainedModel, epoch: int) -> int:
        """How many blocks from the input on, with the embeddings below them, are as they were and stay so in an epoch: what they
        say is then computed once and read from the feature store."""
        return 0

    def callbacks(self, model: PreTrainedModel, epochs: float) -> list[TrainerCallback]:
        """What changes during a training of so many epochs: callbacks for any `transformers.Trainer`. Raises RecipeError where
        the epochs are too few."""
        return []

    def save_extra(self, model: PreTrainedModel, folder: Path) -> None:
        """Write what is kept beside the checkpoint in `folder`, before `finish`: such as adapters."""
        return None

    @abstractmethod
    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        """The trained model as a plain one that saves, loads and answers the same."""
