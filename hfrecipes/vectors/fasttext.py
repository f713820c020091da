"""fasttext: a word is the sum of its pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hfrecipes.errors import RecipeError
from hfrecipes.part import value
from hfrecipes.vectors import Corpus
from hfrecipes.vectors._gensim import Count, Neighbours

if TYPE_CHECKING:
    import numpy as np


@value
class Fasttext(Neighbours):
    """word2vec whose words are the sums of their n-grams of `min_n` to `max_n` characters (Bojanowski et al. 2017,
    arXiv:1607.04606), by gensim: words that are met less than `min_count` times have vectors, too."""

    min_n: Count = 3
    max_n: Count = 6
    bucket: Count = 200_000

    algorithm: ClassVar[str] = "FastText"
    every: ClassVar[bool] = True

    def learn(self, corpus: Corpus) -> np.ndarray:
        if self.min_n > self.max_n:
            raise RecipeError("vectors.fasttext.min_n", f"is {self.min_n}, more than max_n {self.max_n}", "Write less")
        return super().learn(corpus)
