"""spearman: the correlation of the ranks of predicted and true numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Spearman(Metric):
    """Spearman's correlation of ranks (Spearman 1904), equal numbers sharing a rank; 0 where one side does not vary."""

    @property
    def figure(self) -> str:
        return "spearman"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from scipy.stats import spearmanr

        if len(set(predictions)) < 2 or len(set(references)) < 2:
            return {self.figure: 0.0}
        return {self.figure: float(spearmanr(predictions, references).statistic)}
