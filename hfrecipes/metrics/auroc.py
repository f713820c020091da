"""auroc: how well the scores of a class rank its rows above the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Auroc(Metric):
    """The area under the ROC curve: the chance that a row of a class scores above one of another (Hanley and McNeil 1982).

    A prediction is a mapping of labels to scores, a row's scores are divided by their sum, and a label left out scores 0.
    Of two labels the second in the order of the alphabet is ranked; of more, each label that occurs is ranked against the rest,
    and the mean is the figure (macro). Where all rows have the same label nothing can be ranked: 0.5, as by chance.
    """

    wants: ClassVar[str] = "scores"

    @property
    def figure(self) -> str:
        return "auroc"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from sklearn.metrics import roc_auc_score

        occurring = sorted(set(references))
        if len(occurring) < 2:
            return {self.figure: 0.5}
        known = set(occurring).union(*predictions)
        totals = [_total(row) for row in predictions]
        areas = []
        for label in occurring[1:] if len(known) == 2 else occurring:
            shares = [row.get(label, 0.0) / total for row, total in zip(predictions, totals, strict=True)]
            areas.append(float(roc_auc_score([reference == label for reference in references], shares)))
        return {self.figure: sum(areas) / len(areas)}


def _total(row: Mapping[str, float]) -> float:
    """The sum of a row; 1 where only the last bits are missing, so that equal scores stay equal."""
    total = math.fsum(row.values())
    return 1.0 if total == 0 or math.isclose(total, 1.0) else total
