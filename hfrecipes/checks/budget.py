"""budget: the served bundle keeps to the time and the size that the recipe allows, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.hardware import hardware
from hfrecipes.part import value

if TYPE_CHECKING:
    from hfrecipes.checks import Case
    from hfrecipes.recipe import Recipe

NONE = "no budget is named. Write `budget: {p95_ms: …, max_mb: …}`"


@value
class Budget(Check):
    """The 95th percentile of the time for one text is at most `p95_ms` milliseconds, and the weights take at most `max_mb` (10^6
    bytes); at least one of the two is named. What it was measured on stands beside it."""

    p95_ms: Annotated[float, Field(gt=0)] | None = None
    max_mb: Annotated[float, Field(gt=0)] | None = None

    def foreseen(self, recipe: Recipe) -> str | None:
        return NONE if self.p95_ms is None and self.max_mb is None else None

    def gather(self, case: Case) -> dict[str, Any]:
        return {"hardware": hardware()}

    def judge(self, trial: Trial) -> Verdict:
        facts, machine = trial.candidates[trial.served], trial.evidence[self.name]["hardware"]
        if self.p95_ms is None and self.max_mb is None:
            today = f"today {facts['p95_ms']:.2f} ms and {facts['mb']:.1f} MB"
            return Verdict(self.name, False, f"{NONE}; {today}")
        slow = self.p95_ms is not None and facts["p95_ms"] > self.p95_ms
        big = self.max_mb is not None and facts["mb"] > self.max_mb
        time = f"p95 {facts['p95_ms']:.2f} ms" + (f" (at most {self.p95_ms})" if self.p95_ms else "")
        size = f"{facts['mb']:.1f} MB" + (f" (at most {self.max_mb})" if self.max_mb else "")
        return Verdict(self.name, not (slow or big), f"{time}, {size}, on {machine['cpu']} ({machine['cores']} cores)")
