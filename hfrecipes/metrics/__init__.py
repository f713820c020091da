"""Metric: how good the answers are. Each works offline, and `as_evaluate` makes it a metric of the `evaluate` library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import Part

if TYPE_CHECKING:
    import evaluate
    import numpy as np


class Metric(Part, kind="metrics"):
    """Base of metrics. Higher is better for all of them unless `lower_is_better`.

    `wants` is the form of an answer that the metric reads: its `label` (what the task gives as the answer), or the `scores`
    of all labels, as a mapping. `mean_of_rows`: the figure that counts is the mean of what it is for each row alone.
    """

    lower_is_better: ClassVar[bool] = False
    wants: ClassVar[str] = "label"
    mean_of_rows: ClassVar[bool] = False

    @property
    @abstractmethod
    def figure(self) -> str:
        """The name of the figure that counts."""

    @abstractmethod
    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """The figures by name: the one that counts, and others."""

    def tallies(self, predictions: Sequence[Any], references: Sequence[Any]) -> np.ndarray | None:
        """What each row adds to the sums that the figure is made from, of shape (rows, sums): so rows are drawn again in no time.
        None where the figure is made from no sums."""
        if not self.mean_of_rows:
            return None
        import numpy as np

        rows = [self.score([said], [true])[self.figure] for said, true in zip(predictions, references, strict=True)]
        return np.array([rows, [1.0] * len(rows)]).T

    def of_tallies(self, sums: np.ndarray) -> np.ndarray:
        """The figure for each row of sums, of shape (draws, sums)."""
        return share(sums[:, 0], sums[:, 1])

    def as_evaluate(self) -> evaluate.Metric:
        """This metric as an object of `evaluate`, with its `compute(predictions=…, references=…)`."""
        import datasets
        import evaluate

        outer = self

        class Wrapped(evaluate.Metric):
            def _info(self) -> evaluate.MetricInfo:
                text, number = datasets.Value("string"), datasets.Value("float64")
                texts, marks = datasets.Sequence(text), datasets.Sequence(datasets.Value("int64"))
                forms = [(text, text), (text, texts), (texts, texts), (marks, marks), (number, number), (datasets.Json(), text)]
                features = [datasets.Features({"predictions": p, "references": r}) for p, r in forms]
                return evaluate.MetricInfo(description=outer.__doc__, citation="", inputs_description="", features=features)

            def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
                return outer.score(predictions, references)

        return Wrapped()


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part` over `whole`, and 0 where there is nothing."""
    import numpy as np

    found: np.ndarray = np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)
    return found


def scores(metrics: Sequence[Metric], forms: Mapping[str, Sequence[Any]], references: Sequence[Any]) -> dict[str, float]:
    """The figures of several metrics in their order; `forms` holds the answers in each form that a metric wants."""
    return {key: float(figure) for m in metrics for key, figure in m.score(forms[m.wants], references).items()}
