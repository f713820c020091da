"""GloVe: the matrix of co-occurrence, and vectors whose products are its logarithms (Pennington et al. 2014)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix
from torch import Tensor
from tqdm import tqdm

if TYPE_CHECKING:
    from hfrecipes.vectors.glove import Glove

AT_ONCE = 4096
"""Pairs of a step."""
CHUNK = 1_000_000
"""Tokens that are counted at once."""


def cooccurrences(rows: Iterable[Sequence[int]], size: int, window: int) -> Any:
    """A sparse matrix of shape (size, size): for two tokens the sum of 1/d over all places where they stand d apart, at most
    `window`, in one row."""
    found = csr_matrix((size, size), dtype=np.float64)
    ids: list[int] = []
    numbers: list[int] = []
    for number, row in enumerate(rows):
        ids += row
        numbers += [number] * len(row)
        if len(ids) > CHUNK:
            found += _counted(np.array(ids), np.array(numbers), size, window)
            ids, numbers = [], []
    if ids:
        found += _counted(np.array(ids), np.array(numbers), size, window)
    return found


def _counted(ids: np.ndarray, numbers: np.ndarray, size: int, window: int) -> Any:
    total = csr_matrix((size, size), dtype=np.float64)
    for apart in range(1, min(window, len(ids) - 1) + 1):
        same = numbers[:-apart] == numbers[apart:]
        left, right = ids[:-apart][same], ids[apart:][same]
        once = coo_matrix((np.full(len(left), 1 / apart), (left, right)), shape=(size, size)).tocsr()
        total += once + once.T
    return total


def weights(counts: Tensor, most: float, exponent: float) -> Tensor:
    """How much each pair counts: f(x) of equation 9."""
    return (counts / most).pow(exponent).clamp(max=1.0)


def loss(found: Tensor, counts: Tensor, most: float, exponent: float) -> Tensor:
    """The sum of equation 8 for pairs whose product and biases add up to `found`, and which are counted `counts` times."""
    return (weights(counts, most, exponent) * (found - counts.log()).square()).sum()


def slope(found: Tensor, counts: Tensor, most: float, exponent: float) -> Tensor:
    """How the loss of each pair changes with what its product and biases add up to."""
    return 2 * weights(counts, most, exponent) * (found - counts.log())


@dataclass
class Tables:
    """A vector and a bias for each word, and others for it as a neighbour; a bias is the last unit of its row."""

    word: Tensor
    near: Tensor
    seen_word: Tensor
    seen_near: Tensor

    @classmethod
    def drawn(cls, size: int, width: int, seed: int) -> Tables:
        """Small numbers, and no gradient seen."""
        generator = torch.Generator().manual_seed(seed)
        word, near = ((torch.rand(size, width + 1, generator=generator) - 0.5) / width for _ in range(2))
        return cls(word, near, torch.ones_like(word), torch.ones_like(near))

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """w_i · w̃_j + b_i + b̃_j for pairs of words."""
        one, other = self.word[left], self.near[right]
        return (one[:, :-1] * other[:, :-1]).sum(-1) + one[:, -1] + other[:, -1]

    def step(self, left: Tensor, right: Tensor, slopes: Tensor, rate: float) -> None:
        """One step of AdaGrad for pairs, given the slope of the loss by each product: every pair is a sample of its own."""
        one, other = self.word[left], self.near[right]
        one[:, -1] = other[:, -1] = 1.0  # a bias is a unit that is multiplied with one
        for table, seen, rows, gradient in (
            (self.word, self.seen_word, left, other.mul_(slopes[:, None])),
            (self.near, self.seen_near, right, one.mul_(slopes[:, None])),
        ):
            seen.index_add_(0, rows, gradient.square())
            table.index_add_(0, rows, gradient.div_(seen[rows].sqrt_()), alpha=-rate)

    def vectors(self, both: bool) -> np.ndarray:
        """The vector of each word, or the sum of its two."""
        found: np.ndarray = (self.word + self.near if both else self.word.clone())[:, :-1].numpy()
        return found


def fit(counted: Any, width: int, asked: Glove, seed: int) -> tuple[np.ndarray, list[float]]:
    """The vectors, zeros for words without a neighbour, and equation 8 over all pairs as it was in each epoch."""
    pairs = counted.tocoo()
    left, right = (torch.from_numpy(side.astype(np.int64)) for side in pairs.coords)
    counts = torch.from_numpy(pairs.data.astype(np.float32))
    tables = Tables.drawn(counted.shape[0], width, seed)
    order = torch.Generator().manual_seed(seed)
    losses = []
    for _ in tqdm(range(asked.epochs), desc="glove", disable=None):
        total = 0.0
        for some in torch.randperm(len(counts), generator=order).split(AT_ONCE):
            products = tables.products(left[some], right[some])
            total += float(loss(products, counts[some], asked.most, asked.exponent))
            slopes = slope(products, counts[some], asked.most, asked.exponent)
            tables.step(left[some], right[some], slopes, asked.learning_rate)
        losses.append(total)
    vectors = tables.vectors(asked.both)
    vectors[np.diff(counted.tocsr().indptr) == 0] = 0
    return vectors, losses
