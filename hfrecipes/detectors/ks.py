"""ks: the two-sample statistic of Kolmogorov and Smirnov."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hfrecipes.detectors._averages import Averages
from hfrecipes.part import value

if TYPE_CHECKING:
    from hfrecipes.signals import Sample

POINTS = 64


@value
class Ks(Averages):
    """ks: the greatest distance of two distribution functions, of confidence, of lengths, or of shares of tokens (Smirnov 1948,
    The Annals of Mathematical Statistics 19).

    It is taken at quantiles of the baseline and below all of them, at 64 points at most, which is what a summary of bounded size
    can hold.
    """

    feature: Literal["confidence", "characters", "tokens", "unknown_tokens", "rare_tokens"] = "confidence"

    def learn(self, sample: Sample) -> dict[str, Any]:
        points = np.unique(np.nanquantile(sample.numbers[self.feature], np.linspace(0, 1, POINTS - 1)))
        return {"points": [float(np.nextafter(points[0], -np.inf)), *(float(point) for point in points)]}

    def coordinates(self, learned: Mapping[str, Any], sample: Sample) -> np.ndarray:
        at_most: np.ndarray = sample.numbers[self.feature][:, None] <= np.array(learned["points"])
        return at_most.astype(np.float64)

    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.abs(after - before).max(axis=-1)
        return found

    def words(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> str:
        most = int(np.abs(after - before).argmax())
        return f"at most {learned['points'][most]:.4g}: {before[most]:.3f} -> {after[most]:.3f} of the rows"
