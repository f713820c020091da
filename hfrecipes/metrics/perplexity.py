"""perplexity: how surprised a language model is by a token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.errors import DataError
from hfrecipes.metrics import Metric, share
from hfrecipes.part import value

if TYPE_CHECKING:
    import numpy as np


@value
class Perplexity(Metric):
    """The exponential of the mean negative log-likelihood of a token; lower is better.

    A prediction is a pair: the negative log-likelihood in nats, summed over a row's tokens, and how many tokens these are. All
    tokens weigh the same, whichever row they are in, and references are not read (Jelinek et al. 1977). Compare it between
    models of one tokenizer only.
    """

    lower_is_better: ClassVar[bool] = True

    @property
    def figure(self) -> str:
        return "perplexity"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        tokens = sum(count for _, count in predictions)
        if not tokens:
            raise DataError("data", "there is no token to predict", "Give rows that have text")
        try:
            return {self.figure: math.exp(math.fsum(loss for loss, _ in predictions) / tokens)}
        except OverflowError:
            return {self.figure: math.inf}

    def tallies(self, predictions: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        import numpy as np

        return np.array(predictions, dtype=float).reshape(-1, 2)

    def of_tallies(self, sums: np.ndarray) -> np.ndarray:
        """1, of no surprise, where there is no token to predict."""
        import numpy as np

        with np.errstate(over="ignore"):
            return np.asarray(np.exp(share(sums[:, 0], sums[:, 1])))
