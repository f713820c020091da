"""Batches: the training rows as whole batches of like length, in an order that depends on the seed and the epoch alone.

Padding is the largest waste of a batch, so rows of like length go together; where a model reads none, a few of them do. The rows
of one optimizer step are the same whether it is taken by one process or by many, in one micro-batch or in several, and a resumed
run goes on with the same rows: `transformers`' own `group_by_length` keeps neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset as TorchDataset

from hfrecipes.entries import rows_at
from hfrecipes.episodes import Draw, Episodes

if TYPE_CHECKING:
    from datasets import Dataset

WINDOW = 50
"""Steps whose rows are drawn at random together and then sorted by length."""
FEW = 4
"""Rows of like length that go together where a step takes rows of all lengths: the fewer lengths, the fewer products."""
JITTER = 0.1
"""By how much of its length a row may be out of the order of lengths where steps are cut by tokens."""


class ListsOfRows(TorchDataset[list[dict[str, Any]]]):
    """Item `i` is the list of the rows whose numbers are `batches[i]`."""

    rows: Dataset
    batches: list[np.ndarray]

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of an epoch; the Trainer calls it at the start of each."""

    def mix(self) -> None:
        """Where rows of like length go together, let a step take rows of all lengths from now on."""

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, position: int) -> list[dict[str, Any]]:
        return rows_at(self.rows, self.batches[position].tolist())


class Episodic(ListsOfRows):
    """Item `i` is an episode: its support class by class, then its queries."""

    def __init__(self, rows: Dataset, episodes: Episodes, seed: int) -> None:
        self.rows, self.draw, self.seed = rows, Draw(rows["labels"], episodes, [str(ids) for ids in rows["input_ids"]]), seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        self.batches = [episode.rows for episode in self.draw.many(self.draw.asked.count, (self.seed, epoch))]


class Together(ListsOfRows):
    """Item `i` is a batch of `size` rows, `together` rows of a class at once, as far as they go. Every row is in one."""

    def __init__(self, rows: Dataset, size: int, together: int, seed: int) -> None:
        self.rows, self.size, self.together, self.seed = rows, max(1, size // together), together, seed
        self.labels = np.asarray(rows["labels"])
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        generator = np.random.default_rng((self.seed, epoch))
        mine = [generator.permutation(np.flatnonzero(self.labels == label)) for label in np.unique(self.labels)]
        parts = [rows[i : i + self.together] for rows in mine for i in range(0, len(rows), self.together)]
        order = generator.permutation(len(parts))
        chosen = [order[i : i + self.size] for i in range(0, len(order), self.size)]
        self.batches = [np.concatenate([parts[i] for i in each]) for each in chosen]


class Batches(ListsOfRows):
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
        self.mixed = False
        self.cuts = None if tokens is None else cuts(np.sort(self.lengths), tokens * parts, parts)
        self.set_epoch(0)

    def mix(self) -> None:
        """From now on a step takes rows of all lengths, `FEW` of like length together."""
        self.mixed = True
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
        if self.mixed:
            few = [order[i : i + FEW] for i in range(0, len(order), FEW)]
            order = np.concatenate([few[i] for i in generator.permutation(len(few))])
        steps = [order[i : i + step] for i in range(0, len(order), step)]
        whole, rest = (steps, []) if len(steps[-1]) == step else (steps[:-1], steps[-1:])
        return [whole[i] for i in generator.permutation(len(whole))] + rest


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
