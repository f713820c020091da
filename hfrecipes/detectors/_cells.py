"""Cells: every row falls into one, by its name or by the bin of its number; a mean of them is the share of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.detectors._averages import Averages
from hfrecipes.signals import NAMES

if TYPE_CHECKING:
    from hfrecipes.signals import Sample

MOST = 100
"""Names with a cell of their own; all others share the last one."""
BINS = 10


class Cells(Averages):
    """Base of detectors that compare the shares of cells."""

    def learn(self, sample: Sample) -> dict[str, Any]:
        if self.feature in NAMES:
            return {"names": [name for name, _ in Counter(sample.names[self.feature]).most_common(MOST)]}
        inner = np.nanquantile(sample.numbers[self.feature], np.linspace(0, 1, BINS + 1)[1:-1])
        return {"edges": [float(edge) for edge in np.unique(inner)]}

    def coordinates(self, learned: Mapping[str, Any], sample: Sample) -> np.ndarray:
        if self.feature in NAMES:
            at = {name: i for i, name in enumerate(learned["names"])}
            cells = np.array([at.get(name, len(at)) for name in sample.names[self.feature]], dtype=np.int64)
            return np.eye(len(at) + 1)[cells]
        cells = np.searchsorted(learned["edges"], sample.numbers[self.feature], side="left")
        return np.eye(len(learned["edges"]) + 1)[cells]

    def words(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> str:
        most = int(np.abs(after - before).argmax())
        if self.feature in NAMES:
            cell = learned["names"][most] if most < len(learned["names"]) else "others"
        else:
            edges = learned["edges"]
            cell = f"above {edges[-1]:g}" if most == len(edges) else f"up to {edges[most]:g}"
        return f"{cell}: {before[most]:.3f} -> {after[most]:.3f} of the rows"
