"""quality: the served bundle is good enough, and hardly worse than the PyTorch model."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value


@value
class Quality(Check):
    """The metric of the served bundle is at least `minimum`, and at most `max_drop` (absolute) worse than PyTorch's."""

    minimum: float | None = None
    max_drop: float = 0.01

    of_candidates: ClassVar[bool] = True

    def among_graphs(self) -> Quality:
        """By what they lose: a minimum that the model does not reach refuses all of them, the worst like the best."""
        return replace(self, minimum=None)

    def judge(self, trial: Trial) -> Verdict:
        ours = trial.candidates[trial.served]["scores"][trial.metric]
        base = trial.candidates["pytorch"]["scores"][trial.metric]
        sign = -1.0 if trial.lower else 1.0
        drop = sign * (base - ours)
        passed = drop <= self.max_drop and (self.minimum is None or sign * ours >= sign * self.minimum)
        bound = "" if self.minimum is None else f", bound {self.minimum}"
        return Verdict(
            self.name, passed, f"{trial.metric} {ours:.4f}{bound}, {drop:+.4f} lost against PyTorch (at most {self.max_drop})"
        )
