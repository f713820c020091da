"""latency: the served bundle is fast enough on this machine."""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value


@value
class Latency(Check):
    """The 95th percentile of the time for one text, measured on this machine, is at most `p95_ms` milliseconds."""

    p95_ms: float

    of_candidates: ClassVar[bool] = True

    def judge(self, trial: Trial) -> Verdict:
        p95 = trial.candidates[trial.served]["p95_ms"]
        return Verdict(self.name, p95 <= self.p95_ms, f"p95 {p95:.2f} ms for one text (at most {self.p95_ms})")
