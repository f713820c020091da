"""f1: the harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from hfrecipes.metrics import Metric, share
from hfrecipes.part import value

if TYPE_CHECKING:
    import numpy as np


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

    def tallies(self, predictions: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        """For each label whether it was right, was said, and was true; of lists of marks the same mark by mark."""
        import numpy as np

        if predictions and isinstance(predictions[0], list):
            said, true = np.array(predictions, dtype=float), np.array(references, dtype=float)
        else:
            names = {name: i for i, name in enumerate(sorted({*predictions, *references}))}
            marks = np.eye(len(names))
            said, true = (marks[[names[each] for each in given]] for given in (predictions, references))
        return np.concatenate([said * true, said, true], axis=1)

    def of_tallies(self, sums: np.ndarray) -> np.ndarray:
        import numpy as np

        right, said, true = np.split(sums, 3, axis=1)
        if self.average == "micro":
            return share(2 * right.sum(axis=1), (said + true).sum(axis=1))
        each, weights = share(2 * right, said + true), true if self.average == "weighted" else (said + true > 0).astype(float)
        return share((each * weights).sum(axis=1), weights.sum(axis=1))
