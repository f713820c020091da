"""psi: the population stability index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from hfrecipes.detectors._cells import Cells
from hfrecipes.part import value

SMALLEST = 1e-3
"""Added to every share, so that a cell that was or is empty has a logarithm."""


@value
class Psi(Cells):
    """psi: the population stability index of the predicted labels, the scripts, or a number in ten bins.

    The sum of (after - before) ln(after / before) over the shares (Siddiqi 2006, Credit Risk Scorecards; its distribution:
    Yurdakul and Naranjo 2020, The Journal of Risk Model Validation 14(4)).
    """

    feature: Literal["answer", "script", "characters", "tokens", "unknown_tokens", "rare_tokens", "confidence"] = "answer"

    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        total = 1 + SMALLEST * before.shape[-1]
        one, two = (before + SMALLEST) / total, (after + SMALLEST) / total
        found: np.ndarray = ((two - one) * np.log(two / one)).sum(axis=-1)
        return found
