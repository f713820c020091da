"""mcc: the correlation of predicted and true classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Mcc(Metric):
    """Matthews' correlation of predicted and true classes (Matthews 1975; for several classes Gorodkin 2004), from -1 to 1.

    It is 0 where one side has a single class.
    """

    @property
    def figure(self) -> str:
        return "mcc"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from sklearn.metrics import matthews_corrcoef

        if len(set(predictions)) < 2 or len(set(references)) < 2:
            return {self.figure: 0.0}
        return {self.figure: float(matthews_corrcoef(references, predictions))}
