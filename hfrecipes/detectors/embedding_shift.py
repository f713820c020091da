"""embedding_shift: how far the mean of the texts' vectors moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hfrecipes.detectors._averages import Averages
from hfrecipes.part import value

if TYPE_CHECKING:
    from hfrecipes.signals import Sample


@value
class EmbeddingShift(Averages):
    """embedding_shift: the distance of the mean vectors of texts, in standard deviations: the root of its mean square over the
    directions (Hotelling 1931 without covariances; for shifts of data sets: Rabanser et al. 2019, arXiv:1810.11953).

    A text's vector is the mean of its tokens', which are random and always the same, so that no model has to be asked.
    """

    feature: Literal["token_vectors"] = "token_vectors"

    def learn(self, sample: Sample) -> dict[str, Any]:
        spread = sample.vectors.std(axis=0)
        return {"sd": [round(float(x), 7) or 1.0 for x in spread]}

    def coordinates(self, learned: Mapping[str, Any], sample: Sample) -> np.ndarray:
        found: np.ndarray = sample.vectors / np.array(learned["sd"])
        return found

    def between(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.sqrt(((after - before) ** 2).mean(axis=-1))
        return found

    def words(self, learned: Mapping[str, Any], before: np.ndarray, after: np.ndarray) -> str:
        return f"the mean text moved by {float(self.between(learned, before, after)):.3f} standard deviations"
