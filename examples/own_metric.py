"""A metric of one's own in one file: `evaluate: [accuracy, examples/own_metric.py]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Coverage(Metric):
    """The share of the labels that are ever predicted."""

    @property
    def figure(self) -> str:
        return "coverage"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        return {self.figure: len(set(predictions) & set(references)) / len(set(references))}
