"""Objective: what training minimises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.part import Part

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfrecipes.family import Family
    from hfrecipes.tasks import Task

LossFn = Callable[[Any, Mapping[str, Any]], "tuple[Tensor, Any]"]
"""(model, batch) -> (the mean loss over the batch's labelled items, the model's outputs)"""


class Objective(Part, kind="objectives"):
    """Base of objectives."""

    @abstractmethod
    def bind(self, model: PreTrainedModel, family: Family, task: Task) -> LossFn:
        """The loss function for a model. Its loss is a scalar: the mean over the items (rows, or tokens) of one batch."""
