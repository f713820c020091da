"""Calibration: what the confidence of a model is worth, fitted on rows that its training did not see."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.inference.planning import plan
from hfrecipes.uncertainty import UNFITTED, Uncertainty, fit_temperature, judged, squared_error

if TYPE_CHECKING:
    import numpy as np

    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

MOST, MOST_WRITTEN = 4000, 128
"""Rows that a model is fitted on, and those of a model that writes."""


def fit(predictor: Predictor, rows: Sequence[Row]) -> tuple[Predictor, list[Any]]:
    """The predictor with its temperature and its scores of nonconformity on labelled `rows`, the first `MOST` of them, and what
    it answers to those; no answers where it is likelihood that counts. The temperature that makes the true choices likeliest is
    not kept where it makes the confidences of answers worse: of spans, say, more texts are right than the one at the true place.
    """
    task = predictor.task
    if task.by_likelihood:
        return dataclasses.replace(predictor, uncertainty=Uncertainty(rows=len(rows))), []
    rows = rows[: MOST_WRITTEN if task.generates else MOST]
    bare = dataclasses.replace(predictor, uncertainty=UNFITTED, cache=None)
    heated = dataclasses.replace(bare, uncertainty=Uncertainty(fit_temperature(_graded(bare, rows))))
    asked = [task.row(row) for row in rows]
    answers = heated.answer(asked)
    claims, scores = judged(heated, rows, answers)
    if heated.uncertainty.temperature != 1.0:
        cold = dataclasses.replace(bare, uncertainty=Uncertainty())
        unheated = cold.answer(asked)
        plain, plain_scores = judged(cold, rows, unheated)
        if squared_error(plain) < squared_error(claims):
            heated, answers, scores = cold, unheated, plain_scores
    found = Uncertainty(heated.uncertainty.temperature, tuple(sorted(scores)), len(rows))
    return dataclasses.replace(heated, uncertainty=found), answers


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
