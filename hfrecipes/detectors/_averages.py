"""Detectors that compare two means: each row has coordinates, a sample is their mean. So a limit can be found by drawing rows
many times in one product of matrices, and the rows that pull the mean away are known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.detectors import Detector

if TYPE_CHECKING:
    from hfrecipes.signals import Sample


class Averages(Detector):
    """Base of detectors that compare the means of the rows' coordinates."""

    @abstractmethod
    def learn(self, sample: Sample) -> dict[str, Any]:
        """What `coordinates` has to know of the sample that others are compared with, as values of JSON."""

    @abstractmethod
    def coordinates(self, learned: Mapping[str, Any], sample: Sample) -> np.ndarray:
        """The coordinates of each row, shape (rows, coordinates)."""

    @abstractmethod
    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """The distances of means of shape (…, coordinates), shape (…)."""

    @abstractmethod
    def words(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> str:
        """What moved most between two means of shape (coordinates,), with figures."""

    def summarise(self, sample: Sample) -> dict[str, Any]:
        learned = self.learn(sample)
        mean = self.coordinates(learned, sample).mean(axis=0)
        return {**learned, "rows": len(sample), "mean": [round(float(x), 7) for x in mean]}

    def distance(self, baseline: Mapping[str, Any], sample: Sample) -> float:
        return float(self.between(baseline, np.array(baseline["mean"]), self.coordinates(baseline, sample).mean(axis=0)))

    def moved(self, baseline: Mapping[str, Any], sample: Sample) -> str:
        """What moved most from the baseline to a sample, in words."""
        return self.words(baseline, np.array(baseline["mean"]), self.coordinates(baseline, sample).mean(axis=0))

    def blame(self, baseline: Mapping[str, Any], sample: Sample) -> np.ndarray:
        """How far each row is from the baseline in the direction that the sample moved in, shape (rows,)."""
        before, found = np.array(baseline["mean"]), self.coordinates(baseline, sample)
        blamed: np.ndarray = (found - before) @ (found.mean(axis=0) - before)
        return blamed
