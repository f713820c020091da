"""Bootstrap: how far a figure could be off because the rows are these and not others (Efron 1979; paired, Koehn 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric

DRAWS = 1000
Interval = tuple[float, float]


def drawn(metric: Metric, said: Sequence[Sequence[Any]], references: Sequence[Any]) -> tuple[list[float], list[list[float]]]:
    """The figures of several models over all rows, and over rows drawn again, the same ones for all models."""
    count = len(references)
    generator = np.random.default_rng(0)
    if metric.mean_of_rows:
        rows = np.array([[metric.score([a], [r])[metric.figure] for a, r in zip(each, references, strict=True)] for each in said])
        return rows.mean(1).tolist(), [rows[:, generator.integers(0, count, count)].mean(1).tolist() for _ in range(DRAWS)]

    def scores(chosen: Sequence[int]) -> list[float]:
        wanted = [references[i] for i in chosen]
        return [metric.score([answers[i] for i in chosen], wanted)[metric.figure] for answers in said]

    return scores(range(count)), [scores(generator.integers(0, count, count).tolist()) for _ in range(DRAWS)]


def interval(found: Sequence[float]) -> Interval:
    """What 95 of 100 values lie in."""
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
