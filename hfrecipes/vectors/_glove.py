"""GloVe: the matrix of co-occurrence, and vectors whose products are its logarithms (Pennington et al. 2014)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix
from torch import Tensor
from torch.nn import Embedding
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


class Tables(torch.nn.Module):
    """A vector and a bias for each word, and others for it as a neighbour."""

    def __init__(self, size: int, width: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        made = [(torch.rand(size, units, generator=generator) - 0.5) / width for units in (width, width, 1, 1)]
        self.word, self.near, self.bias, self.near_bias = (Embedding.from_pretrained(m, freeze=False, sparse=True) for m in made)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """w_i · w̃_j + b_i + b̃_j for pairs of words."""
        product = (self.word(left) * self.near(right)).sum(-1)
        found: Tensor = product + self.bias(left).squeeze(-1) + self.near_bias(right).squeeze(-1)
        return found

    def vectors(self) -> np.ndarray:
        """The sum of both vectors of each word."""
        found: np.ndarray = (self.word.weight + self.near.weight).detach().numpy()
        return found


def fit(counted: Any, width: int, asked: Glove, seed: int) -> tuple[np.ndarray, list[float]]:
    """The vectors, zeros for words without a neighbour, and equation 8 over all pairs as it was in each epoch."""
    pairs = counted.tocoo()
    left, right = (torch.from_numpy(side.astype(np.int64)) for side in pairs.coords)
    counts = torch.from_numpy(pairs.data.astype(np.float32))
    tables = Tables(counted.shape[0], width, seed)
    optimizer = torch.optim.Adagrad(tables.parameters(), lr=asked.learning_rate, initial_accumulator_value=1.0)
    order = torch.Generator().manual_seed(seed)
    losses = []
    for _ in tqdm(range(asked.epochs), desc="glove", disable=None):
        total = 0.0
        for some in torch.randperm(len(counts), generator=order).split(AT_ONCE):
            optimizer.zero_grad()
            found = loss(tables(left[some], right[some]), counts[some], asked.most, asked.exponent)
            found.backward()
            with torch.sparse.check_sparse_tensor_invariants(False):  # AdaGrad's own tensors hold them
                optimizer.step()
            total += float(found.detach())
        losses.append(total)
    vectors = tables.vectors()
    vectors[np.diff(counted.tocsr().indptr) == 0] = 0
    return vectors, losses
