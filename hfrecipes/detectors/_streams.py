"""Streams: the rows of a sample one after another behind a sketch of held-out ones, read by a detector of `river`."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.detectors import Detector
from hfrecipes.errors import DependencyError

if TYPE_CHECKING:
    from hfrecipes.signals import Sample

POINTS = 128
"""Values of the baseline that stand before the stream."""


class Streams(Detector):
    """Base of detectors of a stream. Their limit is 0: they keep a false-alarm rate of their own, and a distance is 0 until they
    see a change."""

    @abstractmethod
    def opened(self, drift: Any) -> Any:
        """A new detector out of `river.drift`."""

    def summarise(self, sample: Sample) -> dict[str, Any]:
        found = sample.numbers[self.feature]
        points = np.nanquantile(found, (np.arange(POINTS) + 0.5) / POINTS)
        sd = float(np.nanstd(found)) or 1.0
        return {"rows": len(sample), "points": [round(float(x), 7) for x in points], "sd": round(sd, 7) or 1.0}

    def distance(self, baseline: Mapping[str, Any], sample: Sample) -> float:
        """The difference of the means in standard deviations, where the stream of the sample changed; else 0. Raises
        DependencyError where river is not installed."""
        try:
            drift = importlib.import_module("river.drift")
        except ImportError as error:
            raise DependencyError(self.name, "river is not installed", "pip install 'hfrecipes[monitor]'") from error
        reader = self.opened(drift)
        points = np.random.default_rng(0).permutation(np.array(baseline["points"]))
        usual = points.mean()
        changed = False
        for value in (points - usual) / baseline["sd"]:
            reader.update(float(value))
        found = sample.numbers[self.feature]
        for value in (found[~np.isnan(found)] - usual) / baseline["sd"]:
            reader.update(float(value))
            changed = changed or bool(reader.drift_detected)
        return abs(float(np.nanmean(found)) - float(usual)) / float(baseline["sd"]) if changed else 0.0
