"""Compressor: a smaller model made out of a trained one, in PyTorch; it is saved and loaded by transformers, and exported."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfrecipes.part import Part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@dataclass(frozen=True)
class Given:
    """What a compressor may use beside the model: the family, batches of the run's own training rows, with labels, anew each
    time that `batches` is called, and `train`, which trains the model as it is now as another recipe says: a mapping of the
    recipe's keys to what stands there instead. `original` is what a recipe calls the model that was there before."""

    family: Family
    batches: Callable[[], Iterator[Mapping[str, Any]]]
    train: Callable[[PreTrainedModel, Mapping[str, Any]], PreTrainedModel]
    original: str


class Compressor(Part, kind="compressors"):
    """Base of compressors."""

    @abstractmethod
    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        """The model made smaller: the same one, changed in place, or another. Raises RecipeError where it has not what is to be
        taken away."""
