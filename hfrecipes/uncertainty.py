"""Uncertainty: how far a confidence can be believed, fitted on held-out rows and kept beside the weights.

A temperature makes probabilities honest without changing an answer (Guo et al. 2017, arXiv:1706.04599). Split conformal
prediction turns held-out rows into a promise (Vovk et al. 2005; Angelopoulos and Bates 2021, arXiv:2107.07511): at a coverage of
0.9 what is promised holds for 90 of 100 new rows, whatever the model is worth, as long as they come from where those rows came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.errors import ModelError, UserError
from hfrecipes.folder import read_json

if TYPE_CHECKING:
    import numpy as np

    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

FILE = "uncertainty.json"
COVERAGE = 0.9
"""The coverage that reports and checks look at."""
BINS = 15
MOST_SCORES = 4000
COLDEST, HOTTEST = 0.25, 20.0
FEWEST = 50
"""Choices below which no temperature is fitted: a few rows that are all right would ask for certainty."""

Claim = tuple[float, bool]
"""A confidence, and whether what was claimed with it is so."""


@dataclass(frozen=True)
class Covered:
    """An answer at a coverage. `among` holds what the truth is promised to be among: labels, the lower and the upper end of a
    number, or the parts of the answer (entities, the span, the text) that are sure enough. `abstains` where that is not the
    one answer: a person should look."""

    answer: Any
    among: tuple[Any, ...]
    abstains: bool

    def __str__(self) -> str:
        said = " | ".join(map(str, self.among)) or "-"
        return f"{'abstains' if self.abstains else 'answers'}\t{said}"


@dataclass(frozen=True)
class Uncertainty:
    """`temperature` divides the logits. `nonconformity` are the scores of held-out rows, rising: how far the truth (of a label
    or a number), or a right answer (of all else), was from what the model was sure of. `rows` were asked."""

    temperature: float = 1.0
    nonconformity: tuple[float, ...] = ()
    rows: int = 0

    def limit(self, coverage: float) -> float:
        """The nonconformity that `coverage` of all new rows stay within: the score of rank ceil((n + 1) coverage) of n, infinite
        where there are too few. Raises UserError for a coverage that is no share, or where nothing was fitted."""
        if not 0 < coverage < 1:
            raise UserError("coverage", f"{coverage} is not between 0 and 1", "Write 0.9 for 90 of 100")
        if not self.rows:
            raise UserError("coverage", "this model has no uncertainty.json", "Fit it again: hfrecipes fit, then ship")
        if not self.nonconformity:
            raise UserError("coverage", "this task has no confidence to set a limit to", "Ask without a coverage")
        rank = math.ceil((len(self.nonconformity) + 1) * coverage)
        return math.inf if rank > len(self.nonconformity) else self.nonconformity[rank - 1]


UNFITTED = Uncertainty()
"""That of a model that was never asked about held-out rows."""


def load(folder: Path, graph: str) -> Uncertainty:
    """What was fitted for a graph of the bundle in `folder`, or for the checkpoint there (`pytorch`); nothing where there is no
    such file. Raises ModelError where it is damaged."""
    file = folder / FILE
    if not file.is_file():
        return UNFITTED
    try:
        found = read_json(file)[graph]
        fitted = Uncertainty(float(found["temperature"]), tuple(map(float, found["nonconformity"])), int(found["rows"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(str(file), f"cannot be read: {error!r}", "Fit and export again: hfrecipes fit, then ship") from error
    if not (math.isfinite(fitted.temperature) and fitted.temperature > 0) or not all(map(math.isfinite, fitted.nonconformity)):
        raise ModelError(str(file), "holds numbers that cannot be", "Fit and export again: hfrecipes fit, then ship")
    return fitted


def dump(fitted: Uncertainty) -> dict[str, Any]:
    """What `load` reads of one graph. Of many scores evenly spread ranks are kept: a limit moves by less than a thousandth."""
    scores = sorted(fitted.nonconformity)
    if len(scores) > MOST_SCORES:
        scores = [scores[round(i * (len(scores) - 1) / (MOST_SCORES - 1))] for i in range(MOST_SCORES)]
    return {**asdict(fitted), "nonconformity": [round(score, 6) for score in scores]}


def fit_temperature(graded: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """The temperature under which the true choices are likeliest; 1 where there are fewer than `FEWEST`. `graded` holds logits of
    shape (items, choices) with the indices of the true choices, shape (items,)."""
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    pairs = [(logits.astype(np.float64), truth) for logits, truth in graded if len(truth)]
    if sum(len(truth) for _, truth in pairs) < FEWEST:
        return 1.0

    def loss(log_temperature: float) -> float:
        heat = math.exp(log_temperature)
        lost = [logsumexp(x / heat, axis=1).sum() - (x[np.arange(len(y)), y] / heat).sum() for x, y in pairs]
        return float(sum(lost))

    found = minimize_scalar(loss, bounds=(math.log(COLDEST), math.log(HOTTEST)), method="bounded")
    return float(math.exp(found.x)) if found.fun < loss(0.0) else 1.0


def judged(predictor: Predictor, rows: Sequence[Row], answers: Sequence[Any]) -> tuple[list[Claim], list[float]]:
    """What answers to labelled rows claim, with how much confidence and whether it is so; and their nonconformity.
    Nothing where there are no answers."""
    task, config = predictor.task, predictor.config
    claims: list[Claim] = []
    scores: list[float] = []
    sure = predictor.confidences([task.row(row) for row in rows], answers) if answers else []
    for row, answer, confidences in zip(rows if answers else (), answers, sure, strict=True):
        claims += zip(confidences, task.right(answer, row, config) if confidences else (), strict=True)
        scores += task.nonconformity(answer, row, config, confidences)
    return claims, scores


def reliability(claims: Sequence[Claim]) -> list[dict[str, float]]:
    """For each of `BINS` equally wide bins that holds claims: their number, mean confidence, and the share of them that is
    so."""
    bins: dict[int, list[Claim]] = {}
    for confidence, right in claims:
        bins.setdefault(min(BINS - 1, int(confidence * BINS)), []).append((confidence, right))
    return [
        {
            "count": len(held),
            "confidence": sum(confidence for confidence, _ in held) / len(held),
            "right": sum(right for _, right in held) / len(held),
        }
        for _, held in sorted(bins.items())
    ]


def calibration_error(claims: Sequence[Claim]) -> float:
    """The expected calibration error: the mean distance of confidence and share of right claims over bins, by their size
    (Naeini et al. 2015). 0 without claims."""
    bins = reliability(claims)
    total = sum(each["count"] for each in bins)
    return sum(each["count"] * abs(each["confidence"] - each["right"]) for each in bins) / total if total else 0.0


def squared_error(claims: Sequence[Claim]) -> float:
    """The mean squared difference of confidence and truth (Brier 1950). 0 without claims."""
    return sum((confidence - right) ** 2 for confidence, right in claims) / len(claims) if claims else 0.0


def coverage_of(scores: Sequence[float], limit: float) -> float | None:
    """The share of nonconformity scores of new rows that stay within a limit; None without any."""
    return sum(score <= limit for score in scores) / len(scores) if scores else None


def summary(claims: Sequence[Claim], scores: Sequence[float], fitted: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's uncertainty was worth on rows it was not fitted on: calibration error, reliability, and the coverage."""
    held = Uncertainty(fitted["temperature"], tuple(fitted["nonconformity"]), fitted["rows"])
    measured = bool(scores and held.nonconformity)
    return {
        "claims": len(claims),
        "calibration_error": calibration_error(claims),
        "reliability": reliability(claims),
        "asked_coverage": COVERAGE,
        "coverage": coverage_of(scores, held.limit(COVERAGE)) if measured else None,
        "rows": len(scores),
        "fitted_on": fitted["rows"],
        "temperature": fitted["temperature"],
    }
