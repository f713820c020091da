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
    tallies = [tally for each in said if (tally := metric.tallies(each, references)) is not None]
    if len(tallies) == len(said):
        picked = [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(DRAWS)]
        times = np.array(picked, dtype=float)
        again = [metric.of_tallies(times @ tally) for tally in tallies]
        return [float(metric.of_tallies(tally.sum(0)[None])[0]) for tally in tallies], np.array(again).T.tolist()

    def scores(chosen: Sequence[int]) -> list[float]:
        wanted = [references[i] for i in chosen]
        return [metric.score([answers[i] for i in chosen], wanted)[metric.figure] for answers in said]

    return scores(range(count)), [scores(generator.integers(0, count, count).tolist()) for _ in range(DRAWS)]


def interval(found: Sequence[float]) -> Interval:
    """What 95 of 100 values lie in."""
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
