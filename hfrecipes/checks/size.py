"""size: the served bundle is small enough."""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value


@value
class Size(Check):
    """The weights of the served bundle take at most `max_mb` (10^6 bytes) on disk, and fp32 weights of the same target take
    at least `min_ratio` times as much."""

    max_mb: float | None = None
    min_ratio: float | None = None

    of_candidates: ClassVar[bool] = True

    def judge(self, trial: Trial) -> Verdict:
        size = trial.candidates[trial.served]["mb"]
        full = trial.candidates.get(f"{trial.served.partition('/')[0]}/fp32", trial.candidates["pytorch"])["mb"]
        passed = (self.max_mb is None or size <= self.max_mb) and (self.min_ratio is None or full / size >= self.min_ratio)
        limits = [f"at most {self.max_mb} MB"] * (self.max_mb is not None) + [f"at least {self.min_ratio} times smaller"] * (
            self.min_ratio is not None
        )
        return Verdict(
            self.name, passed, f"{size:.1f} MB, {full / size:.2f} times smaller than fp32 ({', '.join(limits) or 'no limit'})"
        )
