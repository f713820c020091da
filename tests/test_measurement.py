"""Measurement: scores, agreement and time."""

from __future__ import annotations

from pathlib import Path

from hfrecipes import Predictor
from hfrecipes.hardware import hardware
from hfrecipes.measurement import Measured, agreement, measure
from hfrecipes.metrics.accuracy import Accuracy
from tests.conftest import sentiment

ROWS = sentiment(24, start=300)


def test_every_way_of_batching_answers_every_row(finished: Path) -> None:
    found = measure(Predictor.open(finished, "fp32"), ROWS, [Accuracy()])
    assert {way: len(predictions) for way, predictions in found.predictions.items()} == {
        "served": 24, "padded": 24, "short": 12, "long": 12, "alone": 24,
    }  # fmt: skip
    assert found.predictions["served"] == found.predictions["padded"] == found.predictions["alone"]
    assert sorted(found.predictions["short"] + found.predictions["long"]) == sorted(found.predictions["padded"])


def test_the_score_is_that_of_the_served_answers(finished: Path) -> None:
    predictor = Predictor.open(finished, "fp32")
    right = measure(predictor, ROWS, [Accuracy()]).scores
    swapped = [{**row, "label": "negative" if row["label"] == "positive" else "positive"} for row in ROWS]
    assert right == {"accuracy": 1.0}
    assert measure(predictor, swapped, [Accuracy()]).scores == {"accuracy": 0.0}


def test_times_are_of_this_machine(finished: Path) -> None:
    latency = measure(Predictor.open(finished, "fp32"), ROWS, [Accuracy()]).latency
    assert 0 < latency["p50_ms"] <= latency["p95_ms"] < 1000
    assert latency["sentences_per_s"] > 0


def test_agreement_is_the_share_of_equal_answers_for_each_way() -> None:
    ours = Measured({}, {"served": ["a", "b", "c", "d"], "alone": ["a"]}, {})
    theirs = Measured({}, {"served": ["a", "b", "c", "x"], "alone": ["b"]}, {})
    assert agreement(ours, theirs) == {"served": 0.75, "alone": 0.0}


def test_numbers_agree_to_one_part_in_a_thousand() -> None:
    ours = Measured({}, {"served": [1000.0, 1000.0, 0.0, 0.0]}, {})
    theirs = Measured({}, {"served": [1000.9, 1001.1, 0.0009, 0.0011]}, {})
    assert agreement(ours, theirs) == {"served": 0.5}


def test_the_hardware_is_named() -> None:
    facts = hardware()
    assert facts["cpu"]
    assert facts["cores"] >= 1
