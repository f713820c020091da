"""What the ways through gensim share: a word is known by those around it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from hfrecipes.errors import DataError, DependencyError
from hfrecipes.part import value
from hfrecipes.vectors import Corpus, Vectors

Count = Annotated[int, Field(gt=0)]


@value
class Neighbours(Vectors):
    """Base of vectors that tell the words around a word (`skip_gram`), or the word amid others (`cbow`), from `negative` drawn
    ones. All fields but `mode` have gensim's names."""

    mode: Literal["skip_gram", "cbow"] = "skip_gram"
    window: Count = 5
    min_count: Count = 2
    negative: Count = 5
    epochs: Count = 5
    sample: Annotated[float, Field(ge=0)] = 1e-3

    algorithm: ClassVar[str]
    every: ClassVar[bool] = False

    def learn(self, corpus: Corpus) -> np.ndarray:
        options = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "mode"}
        return learned(self.algorithm, corpus, self.mode, options, self.every)


@dataclass(frozen=True)
class Sentences:
    """The rows of a corpus as gensim reads them, again and again."""

    corpus: Corpus

    def __iter__(self) -> Iterator[list[str]]:
        names = self.corpus.names
        for ids in self.corpus:
            yield [names[i] for i in ids]


def learned(kind: str, corpus: Corpus, mode: str, options: Mapping[str, Any], every: bool = False) -> np.ndarray:
    """The vectors of gensim's class `kind`, made with `options`; of `every` token, or of those that are met often enough. Raises
    DependencyError where gensim is missing, and DataError where no token is met often enough."""
    where = f"vectors.{kind.lower()}"
    if importlib.util.find_spec("gensim") is None:
        raise DependencyError(where, "needs gensim", "Run: pip install 'hfrecipes[words]'")
    from gensim import models

    way = {"sg": int(mode == "skip_gram"), "seed": corpus.seed + 1, "workers": 1}
    model = getattr(models, kind)(vector_size=corpus.width, **way, **options)
    sentences = Sentences(corpus)
    model.build_vocab(sentences)
    if not len(model.wv):
        what = f"no word is met {options['min_count']} times, so the vocabulary is empty"
        raise DataError(f"{where}.min_count", what, "Write less, or give more text")
    model.train(sentences, total_examples=model.corpus_count, epochs=model.epochs)
    found = np.zeros((corpus.size, corpus.width), np.float32)
    for number, name in enumerate(corpus.names):
        if name and number not in corpus.special and (every or name in model.wv.key_to_index):
            found[number] = model.wv[name]
    return found
