"""fasttext: a word is the sum of its pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hfrecipes.errors import RecipeError
from hfrecipes.part import value
from hfrecipes.vectors import Corpus, Vectors

if TYPE_CHECKING:
    import numpy as np

Count = Annotated[int, Field(gt=0)]


@value
class Fasttext(Vectors):
    """word2vec whose words are the sums of their n-grams of `min_n` to `max_n` characters (Bojanowski et al. 2017,
    arXiv:1607.04606), by gensim: words that are met less than `min_count` times have vectors, too."""

    mode: Literal["skip_gram", "cbow"] = "skip_gram"
    window: Count = 5
    min_count: Count = 2
    negative: Count = 5
    epochs: Count = 5
    sample: Annotated[float, Field(ge=0)] = 1e-3
    min_n: Count = 3
    max_n: Count = 6
    bucket: Count = 200_000

    def learn(self, corpus: Corpus) -> np.ndarray:
        from hfrecipes.vectors._gensim import learned

        if self.min_n > self.max_n:
            raise RecipeError("vectors.fasttext.min_n", f"is {self.min_n}, more than max_n {self.max_n}", "Write less")
        names = ("window", "min_count", "negative", "epochs", "sample", "min_n", "max_n", "bucket")
        return learned("FastText", corpus, self.mode, {name: getattr(self, name) for name in names}, every=True)
