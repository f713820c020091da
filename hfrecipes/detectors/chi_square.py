"""chi_square: Pearson's statistic of predicted labels or scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from hfrecipes.detectors._cells import Cells
from hfrecipes.part import value


@value
class ChiSquare(Cells):
    """chi_square: the square root of Pearson's statistic of homogeneity over shares, so that it does not grow with the rows
    (Pearson 1900, Philosophical Magazine 50)."""

    feature: Literal["answer", "script"] = "answer"

    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        both = (before + after) / 2
        found: np.ndarray = np.sqrt(((after - before) ** 2 / np.where(both > 0, both, 1)).sum(axis=-1))
        return found
