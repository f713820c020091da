"""Planning: which texts share a batch. Padding is the largest waste of a batch, so texts of like length go together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

TOKEN_BUDGET = 256
"""Token slots a batch. A static int8 MiniLM on a CPU is fastest at 224 to 256; at 384 it takes 3 % longer, at 768 10 %."""
MANY_SLOTS = 8192
"""Token slots of the prompts that a writer gets at once: it makes its batches itself."""
MANY = 50
"""Batches from which a bar shows on a terminal how far the answers are."""


def plan(lengths: Sequence[int], budget: int = TOKEN_BUDGET, equal: bool = False) -> list[list[int]]:
    """Positions of texts by batch, shortest first: rows times longest row stay within `budget` (one row always fits).

    `equal` lets only texts of exactly one length share a batch, so that no answer depends on padding.
    """
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        width = lengths[position]
        full = not batches or width * (len(batches[-1]) + 1) > budget
        if full or (equal and width != lengths[batches[-1][0]]):
            batches.append([])
        batches[-1].append(position)
    return batches


def shown(batches: Sequence[Sequence[int]]) -> Iterable[Sequence[int]]:
    """The batches, with a bar on a terminal where they are many."""
    if len(batches) <= MANY:
        return batches
    from tqdm import tqdm

    return tqdm(batches, desc="answers", disable=None, leave=False)
