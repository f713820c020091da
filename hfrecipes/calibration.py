"""Calibration: what the confidence of a model is worth, fitted on rows that its training did not see."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.inference.planning import plan
from hfrecipes.uncertainty import UNFITTED, Claim, Uncertainty, fit_temperature

if TYPE_CHECKING:
    import numpy as np

    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

MOST, MOST_WRITTEN = 4000, 128
"""Rows that a model is fitted on, and those of a model that writes."""


def fit(predictor: Predictor, rows: Sequence[Row]) -> Uncertainty:
    """The temperature of a predictor and its scores of nonconformity on labelled `rows`: the first `MOST` of them."""
    task = predictor.task
    if task.by_likelihood:
        return Uncertainty(rows=len(rows))
    rows = rows[: MOST_WRITTEN if task.generates else MOST]
    bare = dataclasses.replace(predictor, uncertainty=UNFITTED, cache=None)
    heated = dataclasses.replace(bare, uncertainty=Uncertainty(fit_temperature(_graded(bare, rows))))
    _, scores = judged(heated, rows, heated.answer([task.row(row) for row in rows]))
    return Uncertainty(heated.uncertainty.temperature, tuple(sorted(scores)), len(rows))


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


def _graded(predictor: Predictor, rows: Sequence[Row]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The logits and the true choices of labelled rows, batch by batch."""
    task, tokens, config = predictor.task, predictor.tokens, predictor.config
    if task.generates:
        return
    features = task.examples(rows, tokens, config)
    for batch in plan([len(f["input_ids"]) for f in features], equal=predictor.batch_dependent):
        labelled = [features[i] for i in batch]
        read = [{name: f[name] for name in tokens.inputs if name in f} for f in labelled]
        yield from task.graded(predictor.engine(tokens.collate(read)), task.collate(labelled, tokens), config)
