"""A goal: a figure that was measured, the peer's beside it, and what was promised."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """`figure` in words with its unit; `value` is what the goal speaks of: at least (or at most) `bound`."""

    figure: str
    ours: str
    peer: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def row(self) -> list[str]:
        """The goal as a row of the table."""
        sign = "≥" if self.at_least else "≤"
        return [self.figure, self.ours, self.peer, f"{self.value:.4g} {sign} {self.bound:g}", "yes" if self.met else "NO"]


def faster(figure: str, found: Mapping[str, Sequence[Any]], ours: str, peer: str, bound: float, key: str, unit: str) -> Goal:
    """The median of the rounds' ratios of what the peer and we took, which each round has under `key`."""
    ratio = statistics.median(p[key] / o[key] for o, p in zip(found[ours], found[peer], strict=True))
    took = [f"{statistics.median(entry[key] for entry in found[side]):.2f} {unit}" for side in (ours, peer)]
    return Goal(figure, *took, ratio, bound)
