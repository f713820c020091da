"""A goal: a figure that was measured, the peer's beside it, and what was promised."""

from __future__ import annotations

from dataclasses import dataclass


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
