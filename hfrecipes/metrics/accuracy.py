"""accuracy: the share of answers that are exactly right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.metrics import Metric
from hfrecipes.part import value

if TYPE_CHECKING:
    import numpy as np


@value
class Accuracy(Metric):
    """The share of answers that are exactly right (for several labels: all of them).

    Rows whose true label is in `without` do not count, as those that are out of scope in intent detection.
    """

    without: tuple[str, ...] = ()

    @property
    def figure(self) -> str:
        return "_".join(["accuracy", *(["without", *self.without] if self.without else [])])

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from sklearn.metrics import accuracy_score

        if self.without:
            kept = [(p, r) for p, r in zip(predictions, references, strict=True) if r not in self.without]
            predictions, references = [p for p, _ in kept], [r for _, r in kept]
        return {self.figure: float(accuracy_score(references, predictions))}

    def tallies(self, predictions: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        import numpy as np

        pairs = list(zip(predictions, references, strict=True))
        counted = [not self.without or true not in self.without for _, true in pairs]
        right = [said == true and counts for (said, true), counts in zip(pairs, counted, strict=True)]
        return np.array([right, counted], dtype=float).T
