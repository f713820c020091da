"""Shown: solved examples in front of a prompt, those that are most like what is asked (in-context learning)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

WORD = re.compile(r"\w+")


class Nearest:
    """Texts by how many words they share, each word worth as much as it is rare (TF-IDF, cosine)."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        found = Counter(word for text in texts for word in set(_words(text)))
        self.worth = {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in found.items()}
        self.texts = texts
        self.vectors = [self._vector(text) for text in texts]

    def of(self, text: str, count: int) -> list[int]:
        """The positions of the texts most like one, the likest first; never of the text itself."""
        mine = self._vector(text)
        scores = [sum(weight * other.get(word, 0.0) for word, weight in mine.items()) for other in self.vectors]
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [i for i in order if self.texts[i] != text][:count]

    def _vector(self, text: str) -> dict[str, float]:
        """The words that some text has, with their weights, at length 1."""
        counts = Counter(word for word in _words(text) if word in self.worth)
        weights = {word: count * self.worth[word] for word, count in counts.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}


@lru_cache(maxsize=4)
def nearest(texts: tuple[str, ...]) -> Nearest:
    """`Nearest` of texts, made once."""
    return Nearest(texts)


def spread(count: int, most: int) -> list[int]:
    """At most so many positions, evenly over all."""
    return list(range(count)) if count <= most else [i * count // most for i in range(most)]


def fitting(examples: Sequence[str], lengths: Sequence[int], room: int) -> list[str]:
    """The first examples that have room together, the first of them last: next to what is asked."""
    kept: list[str] = []
    for example, length in zip(examples, lengths, strict=True):
        room -= length
        if room < 0:
            break
        kept.insert(0, example)
    return kept


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())
