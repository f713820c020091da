"""mmd: the maximum mean discrepancy of the texts' vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hfrecipes.detectors._averages import Averages
from hfrecipes.part import value
from hfrecipes.signals import WIDTH

if TYPE_CHECKING:
    from hfrecipes.signals import Sample

WAVES = 64
PAIRED = 256
"""Rows that the width of the kernel is found on."""


@value
class Mmd(Averages):
    """mmd: the maximum mean discrepancy under a Gaussian kernel (Gretton et al. 2012, JMLR 13), its mean embedding in 64 random
    Fourier features (Rahimi and Recht 2007, NeurIPS), of the mean random vectors of the texts' tokens.

    The width of the kernel is the median distance of rows. It sees what the mean of the vectors does not: their spread and shape.
    """

    feature: Literal["token_vectors"] = "token_vectors"

    def learn(self, sample: Sample) -> dict[str, Any]:
        found = sample.vectors[:PAIRED]
        squares = (found**2).sum(axis=1)
        apart = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * found @ found.T, 0))
        return {"width": round(float(np.median(apart[np.triu_indices(len(found), 1)])), 7) or 1.0 if len(found) > 1 else 1.0}

    def coordinates(self, learned: Mapping[str, Any], sample: Sample) -> np.ndarray:
        draw = np.random.default_rng(0)
        waves = draw.standard_normal((WIDTH, WAVES)) / learned["width"]
        found: np.ndarray = np.cos(sample.vectors @ waves + draw.uniform(0, 2 * np.pi, WAVES)) * np.sqrt(2 / WAVES)
        return found

    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.sqrt(((after - before) ** 2).sum(axis=-1))
        return found

    def words(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> str:
        return f"the texts' tokens moved by {float(self.between(learned, before, after)):.3f}"
