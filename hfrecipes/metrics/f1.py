"""f1: the harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class F1(Metric):
    """The harmonic mean of precision and recall, averaged over the labels as scikit-learn's `average` says."""

    average: Literal["macro", "micro", "weighted"] = "macro"

    @property
    def figure(self) -> str:
        return f"f1_{self.average}"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from sklearn.metrics import f1_score

        return {self.figure: float(f1_score(references, predictions, average=self.average, zero_division=0.0))}
