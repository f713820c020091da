"""Measurement: what a candidate scores, how it agrees with another, and how fast it is, on this machine and these rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hfrecipes.metrics import Metric, scores
from hfrecipes.uncertainty import Claim, judged

if TYPE_CHECKING:
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Row

ALONE = 500
"""How many rows are answered one by one, for the latency."""
SAMPLE = 2048
"""How many rows are answered in other ways than as served."""
WRITTEN = 32
"""How many rows a model that writes is timed on."""
BATCH = 32


@dataclass(frozen=True)
class Measured:
    """`predictions` in the order of the rows, as the metrics take them, for each way of batching. `claims` and `nonconformity`
    are what the answers as served were worth (see `uncertainty.py`)."""

    scores: dict[str, float]
    predictions: dict[str, list[Any]]
    latency: dict[str, float]
    claims: list[Claim] = field(default_factory=list)
    nonconformity: list[float] = field(default_factory=list)


def score(predictor: Predictor, rows: Sequence[Row], metrics: Sequence[Metric]) -> tuple[dict[str, float], list[Any]]:
    """The figures of the metrics over labelled `rows`, and the predictions they were computed from."""
    return scored(predictor, rows, metrics, answered(predictor, rows))


def answered(predictor: Predictor, rows: Sequence[Row]) -> list[Any]:
    """The answers to labelled rows; none where it is likelihood that counts."""
    task = predictor.task
    return [] if task.by_likelihood else predictor.answer([task.row(row) for row in rows])


def scored(
    predictor: Predictor, rows: Sequence[Row], metrics: Sequence[Metric], answers: Sequence[Any]
) -> tuple[dict[str, float], list[Any]]:
    """What `score` gives, for answers that are there already."""
    task, config = predictor.task, predictor.config
    if task.by_likelihood:
        predictions: list[Any] = [list(pair) for pair in predictor.likelihood(rows)]
        forms = {"label": predictions}
    else:
        predictions, forms = _predictions(predictor, answers), task.forms(answers, config, metrics)
    return scores(metrics, forms, [task.reference(row, config) for row in rows]), predictions


def measure(predictor: Predictor, rows: Sequence[Row], metrics: Sequence[Metric]) -> Measured:
    """Answer labelled `rows` as served, in padded batches of 32, the short and the long half apart, and one by one.

    The scores are those of all rows as served. The other ways take a sample of them, evenly spread: `SAMPLE` rows, or `WRITTEN`
    where the model writes, and `ALONE` of them one by one.
    """
    task = predictor.task
    given = answered(predictor, rows)
    reached, served = scored(predictor, rows, metrics, given)
    claims, nonconformity = judged(predictor, rows, given)
    found = {"served": served}
    step = -(-len(rows) // (WRITTEN if task.generates else SAMPLE))
    asked = [task.row(task.sample(row)) for row in rows[::step]]
    order = sorted(range(len(asked)), key=lambda i: len(str(asked[i])))
    half = len(order) // 2
    speed = 0.0
    for way, chosen in {"padded": list(range(len(asked))), "short": order[:half], "long": order[half:]}.items():
        if way != "padded" and task.generates:
            continue
        started = time.perf_counter()
        batches = tqdm(_slices(chosen, BATCH), desc=f"{way} batches", disable=None, leave=False)
        answers = [a for batch in batches for a in predictor.together([asked[i] for i in batch])]
        speed = speed or len(chosen) / (time.perf_counter() - started)
        found[way] = _predictions(predictor, answers)
    alone, times = [], []
    for row in tqdm(asked[:ALONE], desc="one by one", disable=None, leave=False):
        started = time.perf_counter()
        alone += predictor.together([row])
        times.append(1000 * (time.perf_counter() - started))
    found["alone"] = _predictions(predictor, alone)
    latency = {"p50_ms": quantile(times, 0.5), "p95_ms": quantile(times, 0.95), "sentences_per_s": round(speed, 1)}
    return Measured(reached, found, latency, claims, nonconformity)


def agreement(ours: Measured, theirs: Measured) -> dict[str, float]:
    """For each way of batching, the share of our answers that equal theirs (numbers to one part in a thousand)."""
    shares = {}
    for way, predictions in ours.predictions.items():
        pairs = list(zip(predictions, theirs.predictions[way], strict=True))
        shares[way] = sum(same(a, b) for a, b in pairs) / len(pairs) if pairs else 1.0
    return shares


def _predictions(predictor: Predictor, answers: Sequence[Any]) -> list[Any]:
    return [predictor.task.prediction(answer, predictor.config) for answer in answers]


def same(a: Any, b: Any) -> bool:
    """Whether two predictions are equal, numbers to one part in a thousand."""
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return abs(a - b) <= 1e-3 * max(1.0, abs(b)) if isinstance(a, float) else bool(a == b)


def _slices(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ranked = sorted(values)
    return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 3)
