"""Task: columns in, answers out. One file for each of the Hub's task names.

A task holds what was asked. What was learned from the rows (the label names) goes into the model's own configuration, and
every method that needs it takes that configuration as plain values: so it works on a checkpoint and on a bundle alike,
without torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.errors import RecipeError
from hfrecipes.part import Part
from hfrecipes.uncertainty import Covered

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from torch import Tensor

    from hfrecipes.cloze import Cloze
    from hfrecipes.columns import Column
    from hfrecipes.family import Architecture
    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens

Row = Mapping[str, Any]
Features = dict[str, Any]
IGNORED = -100
"""The label of a token that does not count."""
UNLABELLED = -1
"""The label of what counts and has none: a teacher answers for it."""


@dataclass(frozen=True)
class Window:
    """One input of the model and what came out of it. A long row may be read in several windows."""

    features: Features
    outputs: Mapping[str, np.ndarray]


class Task(Part, kind="tasks"):
    """Base of tasks.

    `heads` says, for each architecture that can do the task, which of optimum's tasks names its Auto class.
    `columns` are the roles that columns of the data play. `outputs` names the model's outputs that an answer is made from;
    `per_token` says that they have one entry a token. `scored_in_training`: the metrics can be computed from those outputs
    after every epoch; elsewhere the validation loss decides. `generates`: an answer is a text that the model writes, under the
    `generation` options. `by_likelihood`: a model is measured by how likely it finds the rows, not by its answers.
    `reads_as_encoded`: in training a row is one input of the model, read as it was encoded, not changed at every step.
    `label_column` may hold nothing in a row that a teacher answers for. With a `pattern` a row is written into it, and the word
    in its masked place is the answer.
    """

    heads: ClassVar[Mapping[Architecture, str]]
    columns: ClassVar[Mapping[str, Column]]
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    per_token: ClassVar[bool] = False
    scored_in_training: ClassVar[bool] = True
    generates: ClassVar[bool] = False
    by_likelihood: ClassVar[bool] = False
    reads_as_encoded: ClassVar[bool] = True
    label_column: ClassVar[str] = ""
    max_length: int | None = None
    pattern: Cloze | None = None
    generation: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        """What the training rows teach about the answers, as entries of the model's configuration."""

    def stratify(self, config: Mapping[str, Any]) -> str | None:
        """The column of which each value is kept in proportion when a validation split is cut off."""
        return None

    @abstractmethod
    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        """What the model reads of each row, in one window or several; `row` is the position of the row in `rows`."""

    @abstractmethod
    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        """What the model learns from labelled rows: as `encode`, with the targets."""

    def collate(self, features: Sequence[Features], tokens: Tokens) -> dict[str, np.ndarray]:
        """One batch of padded arrays, of windows or of examples; here `labels` have an entry a token."""
        batch = tokens.collate(features)
        if "labels" in features[0]:
            batch["labels"] = tokens.pad([f["labels"] for f in features], IGNORED)
        return batch

    @abstractmethod
    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Any:
        """The answer to one row from all its windows."""

    @property
    def answers(self) -> Any:
        """The type of the answers."""
        method = type(self).answer
        return method.__globals__[method.__annotations__["return"]]

    def writing(self) -> dict[str, Any]:
        """The options of `generate`: those asked for, over the task's own."""
        return dict(self.generation)

    def sample(self, row: Row) -> Any:
        """What somebody might ask for, made from a row of the test split: what the speed of answers is measured on."""
        return row

    def probes(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        """What a model that is measured by likelihood reads of the rows: windows with the `targets` it should predict, a token
        id for each position, or -100."""
        raise NotImplementedError(f"{self.name} is not measured by likelihood")

    def loss(self, model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
        """The loss of a labelled batch (the mean over its labelled items) and the model's outputs."""
        outputs = model(**batch)
        return outputs.loss, outputs

    def items(self, outputs: Any, batch: Mapping[str, Any], config: Any, shifted: bool) -> Tensor:
        """The logits of what a loss counts, of shape (items, …, choices): here of each row, or of each token with a label, which
        is that of the token before where the answers are `shifted`. Raises RecipeError where an answer is no choice."""
        logits: Tensor = outputs.logits
        if logits.dim() == 2:
            return logits
        counted = (batch["labels"][:, 1:] if shifted else batch["labels"]).ne(IGNORED)
        return (logits[:, :-1] if shifted else logits)[counted]

    def graded(
        self, outputs: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """For a labelled batch the logits of shape (items, choices) and the true choices, shape (items,), that a temperature is
        fitted to. Empty where answers are no choices, or would change if all logits were divided by a number."""
        return []

    def confidences(self, answer: Any) -> list[float]:
        """How sure an answer is of each thing that it claims, between 0 and 1. Empty where it does not say."""
        return []

    def right(self, answer: Any, row: Row, config: Mapping[str, Any]) -> list[bool]:
        """Which of the things that an answer claims are so, for a labelled row: as many as it has confidences."""
        return [self.prediction(answer, config) == self.reference(row, config)]

    def nonconformity(self, answer: Any, row: Row, config: Mapping[str, Any], confidences: Sequence[float]) -> list[float]:
        """How far the truth of a labelled row is from the answer: here how unsure the answer was of each right claim, so that at
        a coverage of 0.9 nine of ten right claims are kept."""
        so = self.right(answer, row, config) if confidences else []
        return [1 - sure for sure, is_so in zip(confidences, so, strict=True) if is_so]

    def within(self, answer: Any, limit: float, confidences: Sequence[float], config: Mapping[str, Any]) -> Covered:
        """The answer as far as its nonconformity stays within a limit: here all of it, or nothing."""
        sure = all(1 - each <= limit for each in confidences)
        return Covered(answer, (answer,) if sure else (), not sure)

    def taught(self, row: Row, answer: Any) -> Row:
        """A row to learn from with the text that a teacher wrote in the place of its own."""
        raise NotImplementedError(f"{self.name} has no texts that a teacher could write")

    @abstractmethod
    def row(self, given: Any) -> Row:
        """The row that somebody who asks for an answer means: a text, a pair of texts, or a mapping."""

    def meant(self, given: Any) -> Row:
        """The row that `given` means; an empty one where the task cannot read it."""
        try:
            return self.row(given)
        except (KeyError, TypeError, ValueError):
            return {}

    @abstractmethod
    def prediction(self, answer: Any, config: Mapping[str, Any]) -> Any:
        """An answer as the metrics want it: plain JSON values."""

    def forms(self, answers: Sequence[Any], config: Mapping[str, Any], metrics: Sequence[Metric]) -> dict[str, list[Any]]:
        """Answers in each form that one of the metrics wants. Raises RecipeError where the answers have none of that form."""
        return {wants: [self.form(answer, config, wants) for answer in answers] for wants in {metric.wants for metric in metrics}}

    def form(self, answer: Any, config: Mapping[str, Any], wants: str) -> Any:
        """An answer as one kind of metric wants it: `label` is the `prediction`."""
        if wants != "label":
            raise RecipeError("evaluate", f"{self.name} has no {wants} of labels to measure", "Take a metric that reads answers")
        return self.prediction(answer, config)

    @abstractmethod
    def reference(self, row: Row, config: Mapping[str, Any]) -> Any:
        """The true answer of a labelled row, in the form of `prediction`."""

    def baseline(self, rows: Sequence[Row], config: Mapping[str, Any]) -> list[Any] | None:
        """For labelled rows the predictions that need no model, which any model has to beat; None where the task knows none."""
        return None

    @abstractmethod
    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        """The metrics that the field reports; the first decides."""


def text_or_pair(given: Any) -> Row:
    """The row that a text, a pair of texts, or a mapping with `text` and perhaps `text_pair` means."""
    if isinstance(given, str):
        return {"text": given}
    if isinstance(given, Mapping):
        return {key: given[key] for key in ("text", "text_pair") if key in given}
    text, pair = given
    return {"text": text, "text_pair": pair}


def by_row(rows: Sequence[Row], windows: Iterable[Window]) -> list[list[Window]]:
    """The windows of each row."""
    found: list[list[Window]] = [[] for _ in rows]
    for window in windows:
        found[window.features["row"]].append(window)
    return found
