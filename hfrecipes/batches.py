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


class Batches(TorchDataset[list[dict[str, Any]]]):
    """Item `i` is the list of rows of micro-batch `i`.

    A step takes `size * parts` rows in `parts` micro-batches (processes times gradient accumulation steps). `grouped=False`
    leaves the rows in plain random order.
    """

    def __init__(self, rows: Dataset, lengths: Sequence[int], size: int, parts: int, seed: int, grouped: bool = True) -> None:
        self.rows, self.lengths = rows, np.asarray(lengths)
        self.size, self.parts, self.seed, self.grouped = size, parts, seed, grouped
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch; the Trainer calls it at the start of each."""
        generator = np.random.default_rng((self.seed, epoch))
        order = generator.permutation(len(self.lengths))
        step = self.size * self.parts
        if self.grouped:
            span = step * WINDOW
            windows = [order[i : i + span] for i in range(0, len(order), span)]
            order = np.concatenate([w[np.argsort(self.lengths[w], kind="stable")] for w in windows])
        steps = [order[i : i + step] for i in range(0, len(order), step)]
        whole, rest = (steps, []) if len(steps[-1]) == step else (steps[:-1], steps[-1:])
        drawn = [whole[i] for i in generator.permutation(len(whole))] + rest
        self.batches = [part for rows in drawn for part in np.array_split(rows, self.parts) if len(part)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, position: int) -> list[dict[str, Any]]:
        found = self.rows[self.batches[position].tolist()]
        return [dict(zip(found, entries, strict=True)) for entries in zip(*found.values(), strict=True)]
