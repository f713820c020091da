"""Compressor: a smaller model made out of a trained one, in PyTorch; it is saved and loaded by transformers, and exported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.part import Part

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class Given(ABC):
    """What a compressor may use beside the model: the run's own rows.

    `original` is what a recipe calls the model that was there before, and `tokenizer` a folder with the tokenizer that
    is saved with the model.
    """

    original: str
    tokenizer: Path

    @abstractmethod
    def batches(self) -> Iterator[Mapping[str, Any]]:
        """Batches of training rows with labels, the same each time."""

    @abstractmethod
    def loss(self, model: PreTrainedModel, batch: Mapping[str, Any]) -> Tensor:
        """The task's loss of a batch."""

    @abstractmethod
    def tokens(self) -> Iterator[Sequence[int]]:
        """The ids of the tokens of each row of training and validation, read or written."""

    @abstractmethod
    def renumber(self, kept: Sequence[int]) -> None:
        """Token `kept[i]` has id `i` from now on, in all rows."""

    @abstractmethod
    def train(self, model: PreTrainedModel, changes: Mapping[str, Any]) -> PreTrainedModel:
        """The model trained on the run's rows, with `changes` to the recipe: its keys, and what stands there instead."""


class Compressor(Part, kind="compressors"):
    """Base of compressors."""

    def foresee(self, model: PreTrainedModel, before: Sequence[str] = ()) -> None:
        """Asked before the model is trained, with the names of the compressors that stand before it. Raises RecipeError where it
        could not be applied to it afterwards."""

    @abstractmethod
    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        """The model made smaller: the same one, changed in place, or another. Raises RecipeError where it has not what is to be
        taken away."""
