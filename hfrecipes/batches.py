"""Batches: the training rows as whole batches of like length, in an order that depends on the seed and the epoch alone.

Padding is the largest waste of a batch, so rows of like length go together. The rows of one optimizer step are the same
whether it is taken by one process or by many, in one micro-batch or in several, and a resumed run goes on with the same rows:
`transformers`' own `group_by_length` keeps neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset as TorchDataset

if TYPE_CHECKING:
    from datasets import Dataset

WINDOW = 50
"""Steps whose rows are drawn at random together and then sorted by length."""
JITTER = 0.1
"""By how much of its length a row may be out of the order of lengths where steps are cut by tokens."""


class Batches(TorchDataset[list[dict[str, Any]]]):
    """Item `i` is the list of rows of micro-batch `i`.

    A step takes `size * parts` rows in `parts` micro-batches (processes times gradient accumulation steps). `grouped=False`
    leaves the rows in plain random order. With `tokens` it takes as many rows as have about that many tokens, padding included,
    in each micro-batch; how many that are is the same in every epoch, so that the steps of a training can be counted.
    """

    def __init__(
        self,
        rows: Dataset,
        lengths: Sequence[int],
        size: int,
        parts: int,
        seed: int,
        grouped: bool = True,
        tokens: int | None = None,
    ) -> None:
        self.rows, self.lengths = rows, np.asarray(lengths)
        self.size, self.parts, self.seed, self.grouped = size, parts, seed, grouped
        self.cuts = None if tokens is None else cuts(np.sort(self.lengths), tokens * parts, parts)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch; the Trainer calls it at the start of each."""
        generator = np.random.default_rng((self.seed, epoch))
        steps = self._by_rows(generator) if self.cuts is None else self._by_tokens(generator, self.cuts)
        self.batches = [part for rows in steps for part in np.array_split(rows, self.parts) if len(part)]

    def _by_tokens(self, generator: np.random.Generator, cuts: list[int]) -> list[np.ndarray]:
        """Steps of about as many tokens each, in random order."""
        noise = generator.uniform(1 - JITTER, 1 + JITTER, len(self.lengths))
        steps = np.split(np.argsort(self.lengths * noise, kind="stable"), cuts)
        return [steps[i] for i in generator.permutation(len(steps))]

    def _by_rows(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Steps of as many rows each, in random order; what is left over comes last."""
        order = generator.permutation(len(self.lengths))
        step = self.size * self.parts
        if self.grouped:
            span = step * WINDOW
            windows = [order[i : i + span] for i in range(0, len(order), span)]
            order = np.concatenate([w[np.argsort(self.lengths[w], kind="stable")] for w in windows])
        steps = [order[i : i + step] for i in range(0, len(order), step)]
        whole, rest = (steps, []) if len(steps[-1]) == step else (steps[:-1], steps[-1:])
        return [whole[i] for i in generator.permutation(len(whole))] + rest

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, position: int) -> list[dict[str, Any]]:
        found = self.rows[self.batches[position].tolist()]
        return [dict(zip(found, entries, strict=True)) for entries in zip(*found.values(), strict=True)]


def cuts(lengths: np.ndarray, tokens: int, least: int) -> list[int]:
    """Where rows in the order of their lengths are cut so that each part, padded to its longest row, has at most `tokens` tokens;
    a part has at least `least` rows, whatever their length."""
    found, begin = [], 0
    for i, length in enumerate(lengths.tolist()):
        if i - begin >= least and (i + 1 - begin) * length > tokens:
            found.append(i)
            begin = i
    if found and len(lengths) - begin < least:
        found.pop()
    return found
