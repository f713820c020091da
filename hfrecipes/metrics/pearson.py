"""pearson: the linear correlation of predicted and true numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Pearson(Metric):
    """Pearson's linear correlation; 0 where one side does not vary."""

    @property
    def figure(self) -> str:
        return "pearson"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        import numpy as np

        if np.std(predictions) == 0 or np.std(references) == 0:
            return {self.figure: 0.0}
        return {self.figure: float(np.corrcoef(predictions, references)[0, 1])}
