"""supervised: the loss that the task defines for its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.objectives import LossFn, Objective
from hfrecipes.part import value

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family
    from hfrecipes.tasks import Task


@value
class Supervised(Objective):
    """The loss that the task defines for its labels: cross-entropy for classes and tokens, binary cross-entropy for several
    labels, squared error for numbers, a ranking loss for similarity."""

    def bind(self, model: PreTrainedModel, family: Family, task: Task) -> LossFn:
        return task.loss
