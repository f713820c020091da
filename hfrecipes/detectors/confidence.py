"""confidence: how far the mean confidence moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hfrecipes.detectors._averages import Averages
from hfrecipes.part import value

if TYPE_CHECKING:
    from hfrecipes.signals import Sample


@value
class Confidence(Averages):
    """confidence: the difference of the mean confidences, which goes with the difference of accuracies (Guillory et al. 2021,
    arXiv:2107.03315)."""

    feature: Literal["confidence"] = "confidence"

    def learn(self, sample: Sample) -> dict[str, Any]:
        return {"usual": float(np.nanmean(sample.numbers[self.feature]))}

    def coordinates(self, learned: Mapping[str, Any], sample: Sample) -> np.ndarray:
        found: np.ndarray = np.nan_to_num(sample.numbers[self.feature], nan=learned["usual"])[:, None]
        return found

    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.abs(after - before)[..., 0]
        return found

    def words(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> str:
        return f"mean {before[0]:.3f} -> {after[0]:.3f}"
