"""word2vec: a word is known by those around it."""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.part import value
from hfrecipes.vectors._gensim import Neighbours


@value
class Word2vec(Neighbours):
    """Learn to tell the words around a word (`skip_gram`), or the word amid others (`cbow`), from `negative` drawn ones (Mikolov
    et al. 2013, arXiv:1310.4546), by gensim. Words that are met less than `min_count` times have no vector."""

    algorithm: ClassVar[str] = "Word2Vec"
