"""Bootstrap: how far a figure could be off because the rows are these and not others (Efron 1979; paired, Koehn 2004)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric

DRAWS = 1000
Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """What one model gains on another over the same rows: the `figure` of both, the `gain` (positive is better), and the interval
    of the gain over the rows drawn again (paired bootstrap)."""

    figure: str
    was: float
    now: float
    gain: float
    interval: Interval

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Difference:
        """That which `values` gave."""
        low, high = values["interval"]
        return cls(values["figure"], values["was"], values["now"], values["gain"], (low, high))

    @property
    def better(self) -> bool:
        """Whether the gain is above zero for certain."""
        return self.interval[0] > 0

    def worse(self, max_drop: float) -> bool:
        """Whether more than `max_drop` is lost, or something for certain."""
        return self.gain < -max_drop or self.interval[1] < 0

    def values(self) -> dict[str, Any]:
        """As values of JSON."""
        return {**asdict(self), "interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.figure} {self.was:.4f} -> {self.now:.4f}: {self.gain:+.4f} ({low:+.4f} … {high:+.4f})"


def difference(metric: Metric, before: Sequence[Any], after: Sequence[Any], references: Sequence[Any]) -> Difference:
    """What the predictions `after` gain on those `before`."""
    (was, now), again = drawn(metric, [before, after], references)
    sign = -1.0 if metric.lower_is_better else 1.0
    return Difference(metric.figure, was, now, sign * (now - was), interval([sign * (new - old) for old, new in again]))


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
