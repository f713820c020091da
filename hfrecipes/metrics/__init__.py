"""Metric: how good the answers are. Each works offline, and `as_evaluate` makes it a metric of the `evaluate` library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import Part

if TYPE_CHECKING:
    import evaluate


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


def scores(metrics: Sequence[Metric], forms: Mapping[str, Sequence[Any]], references: Sequence[Any]) -> dict[str, float]:
    """The figures of several metrics in their order; `forms` holds the answers in each form that a metric wants."""
    return {key: float(figure) for m in metrics for key, figure in m.score(forms[m.wants], references).items()}
