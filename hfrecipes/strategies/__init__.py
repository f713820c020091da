"""Strategy: which weights are trained."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from hfrecipes.part import Part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


class Strategy(Part, kind="strategies"):
    """Base of strategies."""

    @abstractmethod
    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        """The model as it is trained: with `requires_grad` set, or wrapped."""

    @abstractmethod
    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        """The trained model as a plain one that saves, loads and answers the same."""
