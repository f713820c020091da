"""module: any metric of the `evaluate` library, from a folder or from the Hub."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Module(Metric):
    """Any metric of `evaluate`: `path` is the folder or file of its script, or its name on the Hub (which needs the network).

    `result` names the figure that counts, `options` go to `compute`. Scripts are code: give the path of one that you trust.
    """

    path: str
    result: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def figure(self) -> str:
        return self.result

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        import evaluate

        found = evaluate.load(self.path).compute(predictions=predictions, references=references, **self.options)
        return {self.result: float((found or {})[self.result])}
