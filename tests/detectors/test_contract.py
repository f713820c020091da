"""What every detector must do."""

from __future__ import annotations

import builtins
import json
from typing import Any

import numpy as np
import pytest

from hfrecipes import alarms
from hfrecipes.detectors import Detector
from hfrecipes.errors import DependencyError
from hfrecipes.signals import NAMES, WIDTH, Sample, join
from tests.contracts import every, make

STREAMS = ("adwin", "page_hinkley")
"""Detectors of the optional package river."""
LABELS = np.array([f"label {i}" for i in range(12)])


def drawn(rows: int, seed: int, moved: float = 0.0) -> Sample:
    """Rows of a made-up traffic, of which everything is `moved`."""
    draw = np.random.default_rng(seed)
    chances = (1 + moved) ** np.arange(12) / np.arange(1, 13)
    length = np.round(draw.lognormal(3 + moved, 0.6, rows))
    return Sample(
        {
            "characters": 5 * length + draw.integers(0, 5, rows),
            "tokens": length,
            "unknown_tokens": np.where(draw.random(rows) < 0.01 + moved, draw.random(rows), 0.0),
            "rare_tokens": draw.binomial(10, 0.03 + moved / 3, rows) / 10,
            "confidence": np.clip(draw.beta(8, 1.5, rows) - moved / 3, 0, 1).round(3),
        },
        {
            "answer": tuple(draw.choice(LABELS, rows, p=chances / chances.sum())),
            "script": tuple(np.where(draw.random(rows) < 0.003 + moved, "CYRILLIC", "LATIN")),
        },
        draw.standard_normal((rows, WIDTH)) / np.sqrt(length)[:, None] + moved,
    )


HELD_OUT = drawn(600, seed=0)


def detectors() -> list[Detector]:
    """Every detector, those of several features once for each."""
    found: list[Detector] = [make("detectors", name) for name in every("detectors")]
    kept = {each.title for each in found}
    more = [Detector.choose(options) for options in alarms.WATCHED]
    return found + [each for each in more if each.title not in kept]


def limit(detector: Detector, window: int) -> float:
    """The limit of a detector in a window: 0 for one of a stream, which keeps its own rate."""
    if detector.name in STREAMS:
        return 0.0
    part: Any = detector
    summary = part.summarise(HELD_OUT)
    read = (part, summary, part.coordinates(summary, HELD_OUT), part.coordinates(summary, HELD_OUT.novelty()))
    return alarms.limits([read], [window], [0.01], draws=500)["0.01"][str(window)][detector.title]


@pytest.fixture(params=detectors(), ids=lambda detector: detector.title)
def detector(request: pytest.FixtureRequest) -> Detector:
    """One detector; those of river where it is installed."""
    found: Detector = request.param
    if found.name in STREAMS:
        pytest.importorskip("river")
    return found


def test_a_sample_is_below_the_limit_of_itself_and_a_moved_one_above(detector: Detector) -> None:
    baseline = json.loads(json.dumps(detector.summarise(HELD_OUT)))
    most = limit(detector, 200)
    assert 0 <= detector.distance(baseline, HELD_OUT) <= most
    assert detector.distance(baseline, drawn(200, seed=1)) <= most
    assert detector.distance(baseline, drawn(200, seed=1, moved=1.0)) > most


def test_a_summary_is_json_and_does_not_grow_with_the_rows(detector: Detector) -> None:
    few, many = (len(json.dumps(detector.summarise(sample))) for sample in (HELD_OUT, join([HELD_OUT] * 10)))
    assert many < 1.1 * few + 50 and many < 5_000
    varied = Sample(HELD_OUT.numbers, {name: tuple(map(str, range(600))) for name in NAMES}, HELD_OUT.vectors)
    assert len(json.dumps(detector.summarise(varied))) < 5_000


def test_what_does_not_vary_has_no_distance(detector: Detector) -> None:
    alike = HELD_OUT.take([0] * 60)
    assert detector.distance(detector.summarise(alike), alike) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("part", [each for each in detectors() if each.name not in STREAMS], ids=lambda part: part.title)
def test_what_moved_is_told_with_figures_and_the_rows_that_did_it_first(part: Any) -> None:
    moved = drawn(150, seed=2, moved=1.0)
    mixed = join([drawn(150, seed=3), moved])
    baseline = part.summarise(HELD_OUT)
    assert any(letter.isdigit() for letter in part.moved(baseline, mixed))
    blamed = part.blame(baseline, mixed)
    assert blamed[150:].mean() > blamed[:150].mean()


@pytest.mark.parametrize("name", STREAMS)
def test_a_detector_of_river_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = make("detectors", name)
    imported = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda wanted: imported("there_is_no_such_module"))
    with pytest.raises(DependencyError, match=rf"{name}: river is not installed\. pip install 'hfrecipes\[monitor\]'"):
        part.distance(part.summarise(HELD_OUT), HELD_OUT)
