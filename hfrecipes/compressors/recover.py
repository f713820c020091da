"""recover: a short training, taught by the model that was there before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.compressors import Compressor, Given
from hfrecipes.losses import Loss
from hfrecipes.part import value

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@value
class Recover(Compressor):
    """A training of so many `epochs` in which what was compressed learns from the answers of the model that was there before, and
    from the labels. Weights that are zero stay so. `train` stands over the recipe's own options, and `losses` are those of
    `objective: distill`."""

    epochs: Annotated[float, Field(gt=0)]
    losses: Annotated[tuple[Loss, ...], Field(min_length=1)] = dataclasses.field(
        default_factory=lambda: (Loss.choose({"soft_targets": {"temperature": 2.0}}),)
    )
    train: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        from hfrecipes.objectives import Objective

        taught = Objective.choose({"distill": {"teacher": given.original, "losses": self.losses}})
        options = {"num_train_epochs": self.epochs, "max_steps": -1, **self.train}
        return given.train(model, {"objective": taught, "train": options})
