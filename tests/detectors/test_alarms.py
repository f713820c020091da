"""Alarms: limits that keep the false-alarm rate over all detectors together."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from hfrecipes import alarms
from hfrecipes.alarms import Alarms
from hfrecipes.detectors import Detector
from hfrecipes.errors import UserError
from hfrecipes.signals import Sample
from tests.detectors.test_contract import HELD_OUT, drawn

BASELINES = 100


def opened(made: dict[str, Any]) -> Alarms:
    """What `calibrated` found, as it is loaded."""
    parts: list[Any] = [Detector.choose(each["part"]) for each in made["detectors"]]
    summaries = {part.title: each["summary"] for part, each in zip(parts, made["detectors"], strict=True)}
    return Alarms(made["rows"], np.ones(1, bool), {part.title: part for part in parts}, summaries, made["limits"], {})


def beyond(found: Alarms, sample: Sample, rate: float = 0.01) -> list[str]:
    """The detectors beyond their limits."""
    most = found.limit(len(sample), rate)
    return [name for name, part in found.detectors.items() if part.distance(found.summaries[name], sample) > most[name]]


@pytest.mark.parametrize(("rows", "window"), [(100, 60), (300, 1000), (600, 200)])
def test_windows_without_drift_raise_an_alarm_at_the_rate_over_all_detectors(
    rows: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "DRAWS", 500)
    monkeypatch.setattr(alarms, "WINDOWS", (window,))
    found = [opened(alarms.calibrated(drawn(rows, seed))) for seed in range(BASELINES)]
    raised = sum(bool(beyond(each, drawn(window, 1000 + seed), rate=0.05)) for seed, each in enumerate(found))
    assert raised <= binom.ppf(0.999, BASELINES, 0.05)


def test_a_drift_is_found_by_a_window_and_by_more_detectors_the_larger_it_is() -> None:
    found = opened(alarms.calibrated(HELD_OUT))
    counts = [len(beyond(found, drawn(200, seed=5, moved=moved))) for moved in (0.0, 0.15, 1.0)]
    assert counts[0] == 0 < counts[1] < counts[2] == len(found.detectors)


def test_limits_fall_with_the_window_and_rise_as_fewer_alarms_are_wanted() -> None:
    found = opened(alarms.calibrated(HELD_OUT))
    for title in found.detectors:
        by_window = [found.limit(window, 0.01)[title] for window in (30, 40, 75, 200, 700, 5000)]
        assert by_window == sorted(by_window, reverse=True)
        by_rate = [found.limit(200, rate)[title] for rate in alarms.RATES]
        assert by_rate == sorted(by_rate)


def test_a_baseline_is_small_whatever_it_was_made_of() -> None:
    sample = drawn(2000, seed=0)
    many = Sample(sample.numbers, {name: tuple(f"a long name {i}" for i in range(2000)) for name in sample.names}, sample.vectors)
    assert len(json.dumps(alarms.calibrated(many), indent=2)) < 100_000


def test_a_feature_that_no_held_out_row_varied_in_allows_for_what_chance_hid() -> None:
    plain = {**HELD_OUT.numbers, "unknown_tokens": np.zeros(600)}
    found = opened(alarms.calibrated(Sample(plain, HELD_OUT.names, HELD_OUT.vectors)))
    fresh = drawn(200, seed=9)
    for count, raises in ((1, False), (20, True)):
        unknown = np.where(np.arange(200) < count, 0.5, 0.0)
        sample = Sample({**fresh.numbers, "unknown_tokens": unknown}, fresh.names, fresh.vectors)
        assert ("ks(unknown_tokens)" in beyond(found, sample)) is raises


def test_a_model_that_was_always_sure_may_be_unsure_once() -> None:
    sure = {**HELD_OUT.numbers, "confidence": np.ones(600)}
    found = opened(alarms.calibrated(Sample(sure, HELD_OUT.names, HELD_OUT.vectors)))
    fresh = drawn(200, seed=9)
    for count, raises in ((1, False), (30, True)):
        unsure = np.where(np.arange(200) < count, 0.4, 1.0)
        sample = Sample({**fresh.numbers, "confidence": unsure}, fresh.names, fresh.vectors)
        assert ({"confidence(confidence)", "ks(confidence)"} <= {*beyond(found, sample)}) is raises
        assert bool({"confidence(confidence)", "ks(confidence)"} & {*beyond(found, sample)}) is raises


def test_features_that_a_task_lacks_are_not_watched_and_few_rows_have_no_limits() -> None:
    numbers = {name: found for name, found in HELD_OUT.numbers.items() if name != "confidence"}
    made = alarms.calibrated(Sample(numbers, {"script": HELD_OUT.names["script"]}, HELD_OUT.vectors))
    assert {part.feature for part in opened(made).detectors.values()}.isdisjoint({"confidence", "answer"})
    assert alarms.calibrated(HELD_OUT.take(range(alarms.FEWEST - 1)))["detectors"] == []


@pytest.mark.parametrize(
    ("window", "rate", "said"),
    [
        (3, 0.01, r"window: 3 rows are too few to tell drift from chance\. Take 30 or more: the default is 200\."),
        (200, 0.02, r"rate: no limits were found for a false-alarm rate of 0\.02\. One of: 0\.1, 0\.05, 0\.01\."),
    ],
)
def test_a_window_or_a_rate_without_limits_is_refused(window: int, rate: float, said: str) -> None:
    with pytest.raises(UserError, match=said):
        opened(alarms.calibrated(HELD_OUT)).limit(window, rate)


def test_what_confidence_was_worth() -> None:
    claims = [(i / 100, i >= 20) for i in range(100)]
    assert alarms.worth(claims) == {"accuracy": 0.8, "confidence": pytest.approx(0.495), "threshold": 0.2}
    assert alarms.worth([]) == {}
