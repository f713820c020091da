"""Task: columns in, answers out. One file for each of the Hub's task names.

A task holds what was asked. What was learned from the rows (the label names) goes into the model's own configuration, and
every method that needs it takes that configuration as plain values: so it works on a checkpoint and on a bundle alike,
without torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import Part

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

    from hfrecipes.data import Column
    from hfrecipes.family import Architecture
    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens

Row = Mapping[str, Any]
Features = dict[str, Any]


class Task(Part, kind="tasks"):
    """Base of tasks.

    `heads` says, for each architecture that can do the task, which of optimum's tasks names its Auto class.
    `columns` are the roles that columns of the data play.
    """

    heads: ClassVar[Mapping[Architecture, str]]
    columns: ClassVar[Mapping[str, Column]]
    max_length: int | None = None

    @abstractmethod
    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        """What the training rows teach about the answers, as entries of the model's configuration."""

    @abstractmethod
    def stratify(self, config: Mapping[str, Any]) -> str | None:
        """The column of which each value is kept in proportion when a validation split is cut off."""

    @abstractmethod
    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        """What the model reads of each row; with `labels` where the row has an answer."""

    @abstractmethod
    def collate(self, features: Sequence[Features], tokens: Tokens) -> dict[str, np.ndarray]:
        """One batch of padded arrays."""

    @abstractmethod
    def answers(self, outputs: Mapping[str, np.ndarray], rows: Sequence[Row], config: Mapping[str, Any]) -> list[Any]:
        """One answer a row out of the model's outputs."""

    @abstractmethod
    def row(self, given: Any) -> Row:
        """The row that somebody who asks for an answer means: a text, a pair of texts, or a mapping."""

    @abstractmethod
    def predictions(self, answers: Sequence[Any], config: Mapping[str, Any]) -> list[Any]:
        """Answers as the metrics want them: plain JSON values."""

    @abstractmethod
    def references(self, rows: Sequence[Row], config: Mapping[str, Any]) -> list[Any]:
        """The true answers of labelled rows, in the form of `predictions`."""

    @abstractmethod
    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        """The metrics that the field reports; the first decides."""
