"""The bootstrap: sums of rows give what the metric gives, and intervals hold what they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hfrecipes import bootstrap
from hfrecipes.bootstrap import drawn, interval
from hfrecipes.metrics import Metric
from tests.contracts import make

DRAW = np.random.default_rng(0)
LABELS = [DRAW.choice(["a", "b", "c", "oos"], size=60).tolist() for _ in range(2)]
MARKS = [DRAW.integers(0, 2, size=(60, 3)).tolist() for _ in range(2)]
TAGS = [[DRAW.choice(["O", "B-X", "I-X", "B-Y"], size=6).tolist() for _ in range(60)] for _ in range(2)]
TEXTS = [[" ".join(DRAW.choice(["red", "fox", "a", "den"], size=3)) for _ in range(60)] for _ in range(2)]
LOSSES = [[[float(DRAW.random() * 9), 3] for _ in range(60)], [""] * 60]
CASES: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("accuracy", {}, LABELS),
    ("accuracy", {}, MARKS),
    ("accuracy", {"without": ["oos"]}, LABELS),
    *(("f1", {"average": average}, given) for average in ("macro", "micro", "weighted") for given in (LABELS, MARKS)),
    ("entity_f1", {}, TAGS),
    ("squad", {}, TEXTS),
    ("perplexity", {}, LOSSES),
]


@pytest.mark.parametrize(("name", "options", "given"), CASES)
def test_sums_of_rows_give_what_the_metric_gives(name: str, options: dict[str, Any], given: list[Any]) -> None:
    metric: Metric = make("metrics", name, {name: options})
    said, true = given
    tallies = metric.tallies(said, true)
    assert tallies is not None
    for rows in (list(range(60)), DRAW.integers(0, 60, 60).tolist(), [0, 0, 1]):
        times = np.bincount(rows, minlength=60).astype(float)
        wanted = metric.score([said[i] for i in rows], [true[i] for i in rows])[metric.figure]
        assert metric.of_tallies((times @ tallies)[None])[0] == pytest.approx(wanted)


@pytest.mark.parametrize(("name", "options"), [("mcc", {}), ("entity_f1", {"scheme": "BIO"})])
def test_a_figure_of_no_sums_is_computed_from_the_rows(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "DRAWS", 5)
    metric: Metric = make("metrics", name, {name: options})
    said, true = ([[["O", "B-X"], ["B-X", "O"]] * 10] * 2) if name == "entity_f1" else LABELS
    scores, again = drawn(metric, [said], true)
    assert scores == [metric.score(said, true)[metric.figure]] and len(again) == 5


def test_an_interval_holds_the_figure_and_is_as_wide_as_chance_is() -> None:
    metric: Metric = make("metrics", "accuracy")
    true = ["a"] * 400
    said = ["a"] * 300 + ["b"] * 100
    scores, again = drawn(metric, [said, true], true)
    low, high = interval([each[0] for each in again])
    assert scores == [0.75, 1.0] and {each[1] for each in again} == {1.0}
    assert high - low == pytest.approx(4 * np.sqrt(0.75 * 0.25 / 400), rel=0.15)
