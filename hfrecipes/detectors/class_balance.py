"""class_balance: the share of the answers that changed their label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from hfrecipes.detectors._cells import Cells
from hfrecipes.part import value


@value
class ClassBalance(Cells):
    """class_balance: the total variation between the shares of predicted labels, between 0 and 1.

    The labels that a model predicts tell a shift of the true ones (Lipton et al. 2018, arXiv:1802.03916).
    """

    feature: Literal["answer"] = "answer"

    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.abs(after - before).sum(axis=-1) / 2
        return found
