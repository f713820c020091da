"""word2vec: a word is known by those around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.vectors import Corpus, Vectors

if TYPE_CHECKING:
    import numpy as np

Count = Annotated[int, Field(gt=0)]


@value
class Word2vec(Vectors):
    """Learn to tell the words around a word (`skip_gram`), or the word amid others (`cbow`), from `negative` drawn ones (Mikolov
    et al. 2013, arXiv:1310.4546), by gensim. Words that are met less than `min_count` times have no vector."""

    mode: Literal["skip_gram", "cbow"] = "skip_gram"
    window: Count = 5
    min_count: Count = 2
    negative: Count = 5
    epochs: Count = 5
    sample: Annotated[float, Field(ge=0)] = 1e-3

    def learn(self, corpus: Corpus) -> np.ndarray:
        from hfrecipes.vectors._gensim import learned

        names = ("window", "min_count", "negative", "epochs", "sample")
        return learned("Word2Vec", corpus, self.mode, {name: getattr(self, name) for name in names})
