"""glove: how often two words stand near each other, as a product of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.errors import DataError
from hfrecipes.part import value
from hfrecipes.vectors import Corpus, Vectors

if TYPE_CHECKING:
    import numpy as np

Count = Annotated[int, Field(gt=0)]


@value
class Glove(Vectors):
    """Weighted least squares over the logarithms of co-occurrence (Pennington et al. 2014, equation 8), by AdaGrad.

    Two words d apart, at most `window`, are counted with 1/d. A pair that is counted x times weighs (x / `most`)^`exponent`, and
    1 from `most` on; the paper's 100 is for billions of words. A word has a vector, and another as the neighbour of others:
    `both` adds the two, as the paper does. Words that are met less than `min_count` times have no vector.
    """

    window: Count = 10
    min_count: Count = 2
    most: Annotated[float, Field(gt=0)] = 10.0
    exponent: Annotated[float, Field(gt=0)] = 0.75
    epochs: Count = 25
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    both: bool = False

    def learn(self, corpus: Corpus) -> np.ndarray:
        from hfrecipes.vectors._glove import cooccurrences, fit

        often = corpus.counts >= self.min_count
        often[sorted(corpus.special)] = False
        if not often.any():
            what = f"no word is met {self.min_count} times, so the vocabulary is empty"
            raise DataError("vectors.glove.min_count", what, "Write less, or give more text")
        counted = cooccurrences(([i for i in ids if often[i]] for ids in corpus), corpus.size, self.window)
        if not counted.nnz:
            raise DataError("vectors.glove", "no two words stand near each other", "Give more text")
        return fit(counted, corpus.width, self, corpus.seed)[0]
