"""accuracy: the share of answers that are exactly right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Accuracy(Metric):
    """The share of answers that are exactly right (for several labels: all of them)."""

    @property
    def figure(self) -> str:
        return "accuracy"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from sklearn.metrics import accuracy_score

        return {self.figure: float(accuracy_score(references, predictions))}
