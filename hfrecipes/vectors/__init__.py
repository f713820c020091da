"""Vectors: where the vectors of a static model's tokens come from before it is trained. One file for each way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.part import Part

if TYPE_CHECKING:
    from hfrecipes.models import Model
    from hfrecipes.tokens import Tokens


@dataclass(frozen=True)
class Corpus:
    """What vectors are learned from: `rows` of token ids, the tokenizer that made them, the model's configuration, a seed."""

    rows: Sequence[Sequence[int]]
    tokens: Tokens
    config: Mapping[str, Any]
    seed: int = 0

    @property
    def size(self) -> int:
        """Tokens of the model's vocabulary."""
        return int(self.config["vocab_size"])

    @property
    def width(self) -> int:
        """Units of a vector."""
        return int(self.config["hidden_size"])

    @cached_property
    def names(self) -> list[str]:
        """The tokens by their ids; what the tokenizer does not have is empty."""
        found = [""] * self.size
        for name, number in self.tokens.tokenizer.get_vocab().items():
            found[number] = name
        return found

    @cached_property
    def special(self) -> frozenset[int]:
        """Tokens that are no text: padding, frames, the mask, and what is not in the vocabulary."""
        return frozenset(i for i in map(self.tokens.tokenizer.token_to_id, self.tokens.names.values()) if i is not None)

    def __iter__(self) -> Iterator[list[int]]:
        for ids in self.rows:
            yield [i for i in ids if i not in self.special]

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each token is met, special ones included."""
        found = np.zeros(self.size, np.int64)
        for ids in self.rows:
            np.add.at(found, np.asarray(ids, np.int64), 1)
        return found


class Vectors(Part, kind="vectors"):
    """Base of ways to vectors."""

    @property
    def reads(self) -> Model | None:
        """The checkpoint whose tokens the vectors are of; None: those of the recipe's own tokenizer."""
        return None

    def signature(self) -> str:
        """What is read outside the recipe, so that a change of it is noticed."""
        return ""

    @abstractmethod
    def learn(self, corpus: Corpus) -> np.ndarray:
        """A vector a token, of shape (vocabulary, units); zeros for a token that nothing is known of."""


COMMON = 1e-2
"""Tokens more frequent than this weigh less."""


def rarities(counts: np.ndarray) -> np.ndarray:
    """The weight of each token: a / (a + p) for its frequency p (smooth inverse frequency, Arora et al. 2017)."""
    weights: np.ndarray = COMMON / (COMMON + counts / max(1, counts.sum()))
    return weights
