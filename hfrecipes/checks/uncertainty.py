"""uncertainty: what the served bundle says about its confidence holds on rows that it was not fitted on."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.folder import read_json, sha256
from hfrecipes.part import value
from hfrecipes.uncertainty import COVERAGE, FEWEST, FILE, UNFITTED, calibration_error, dump, judged, summary

if TYPE_CHECKING:
    from hfrecipes.checks import Case


@value
class Uncertainty(Check):
    """On the test split the expected calibration error is at most `max_error`, and a coverage of 90 % is reached but for
    `tolerance` and two standard errors of as many rows. Tasks without a confidence have nothing to show. The file in the
    checkpoint belongs to its weights."""

    max_error: Annotated[float, Field(ge=0, le=1)] = 0.1
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.02

    def gather(self, case: Case) -> dict[str, Any]:
        file = case.run.model / FILE
        mine = file.is_file() and read_json(file)["weights"] == sha256(case.run.weights)
        claims = [(float(sure), bool(so)) for sure, so in case.measured["claims"]]
        found = summary(claims, case.measured["nonconformity"], dump(case.predictor.uncertainty))
        return {"belongs": mine, "by_likelihood": case.predictor.task.by_likelihood, "plain_error": _plain(case), **found}

    def judge(self, trial: Trial) -> Verdict:
        found = trial.evidence[self.name]
        if not found["belongs"]:
            return Verdict(self.name, False, f"{FILE} of the checkpoint is not that of its weights. Fit again: hfrecipes fit")
        if not found["fitted_on"]:
            return Verdict(self.name, False, f"the served bundle has no {FILE}. Export again: hfrecipes ship")
        if found["by_likelihood"] or not (found["claims"] or found["rows"]):
            return Verdict(self.name, True, "the task has no confidence to be wrong about")
        error = found["calibration_error"]
        helps = "lowers it from" if error < found["plain_error"] else "does not lower it from"
        heat = f"a temperature of {found['temperature']:.2f} {helps} {found['plain_error']:.4f}"
        if found["fitted_on"] < FEWEST:
            heat = f"no temperature was fitted: {found['fitted_on']} held-out rows are fewer than {FEWEST}"
        words = f"calibration error {error:.4f} (at most {self.max_error}), {heat}"
        if found["coverage"] is None:
            return Verdict(self.name, error <= self.max_error, f"{words}; too few right answers for a coverage")
        spread = math.sqrt(COVERAGE * (1 - COVERAGE) * (1 / found["rows"] + 1 / max(1, found["fitted_on"])))
        least = COVERAGE - self.tolerance - 2 * spread
        passed = error <= self.max_error and found["coverage"] >= least
        return Verdict(
            self.name,
            passed,
            f"{words}; at a coverage of {COVERAGE:.0%} {found['coverage']:.1%} of {found['rows']} were covered (at "
            f"least {least:.1%})",
        )


def _plain(case: Case) -> float:
    """The calibration error on the test rows without the temperature."""
    predictor = case.predictor
    if predictor.uncertainty.temperature == 1:
        return calibration_error([(float(sure), bool(so)) for sure, so in case.measured["claims"]])
    bare = dataclasses.replace(predictor, uncertainty=UNFITTED)
    return calibration_error(judged(bare, case.rows, bare.answer([bare.task.row(row) for row in case.rows]))[0])
