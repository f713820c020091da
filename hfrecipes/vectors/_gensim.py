"""What the ways through gensim share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfrecipes.errors import DataError, DependencyError
from hfrecipes.vectors import Corpus


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
