"""Uncertainty: what a temperature, a limit and a calibration error are, and what every task makes of them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfrecipes import Predictor, uncertainty
from hfrecipes.calibration import fit
from hfrecipes.errors import ModelError, UserError
from hfrecipes.folder import Run, read_json
from hfrecipes.recipe import Recipe
from hfrecipes.stages.calibrate import unseen
from hfrecipes.uncertainty import Uncertainty, calibration_error, dump, fit_temperature, judged, load, reliability


def drawn(heat: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and choices drawn from the probabilities that they have at a temperature."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(count, 5)) * 3
    chances = np.exp(logits / heat) / np.exp(logits / heat).sum(axis=1, keepdims=True)
    return logits, np.array([generator.choice(5, p=each) for each in chances])


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.5])
def test_the_temperature_that_choices_were_drawn_at_is_found(heat: float) -> None:
    assert fit_temperature([drawn(heat)]) == pytest.approx(heat, rel=0.06)


def test_a_few_choices_ask_for_no_temperature() -> None:
    logits, truth = drawn(2.5)
    assert fit_temperature([(logits[:49], truth[:49])]) == 1.0
    assert fit_temperature([]) == 1.0


@pytest.mark.parametrize(("coverage", "limit"), [(0.5, 0.5), (0.9, 0.9), (0.1, 0.1), (0.95, math.inf)])
def test_a_limit_has_the_rank_of_split_conformal_prediction(coverage: float, limit: float) -> None:
    fitted = Uncertainty(nonconformity=tuple(i / 10 for i in range(1, 10)), rows=9)
    assert fitted.limit(coverage) == limit


def test_the_coverage_of_new_rows_is_what_was_asked_for() -> None:
    scores = np.random.default_rng(0).random(41_000)
    fitted = Uncertainty(nonconformity=tuple(sorted(scores[:1000])), rows=1000)
    share = uncertainty.coverage_of(list(scores[1000:]), fitted.limit(0.9))
    assert share == pytest.approx(0.9, abs=0.02)


def test_the_calibration_error_of_honest_and_of_boasting_claims() -> None:
    honest = [(0.75, i % 4 != 0) for i in range(400)]
    boasting = [(0.99, i % 4 != 0) for i in range(400)]
    assert calibration_error(honest) == pytest.approx(0.0)
    assert calibration_error(boasting) == pytest.approx(0.24)
    assert calibration_error([]) == 0.0
    assert reliability([(1.0, True), (0.01, False)]) == [
        {"count": 1, "confidence": 0.01, "right": 0.0},
        {"count": 1, "confidence": 1.0, "right": 1.0},
    ]


def test_many_scores_are_kept_as_ranks_that_give_nearly_the_same_limits() -> None:
    scores = tuple(sorted(np.random.default_rng(0).random(20_000).tolist()))
    whole, kept = Uncertainty(1.0, scores, 20_000), dump(Uncertainty(1.0, scores, 20_000))
    assert len(kept["nonconformity"]) == uncertainty.MOST_SCORES
    ranks = Uncertainty(1.0, tuple(kept["nonconformity"]), 20_000)
    assert all(abs(ranks.limit(share) - whole.limit(share)) < 1e-3 for share in (0.5, 0.9, 0.99))


@pytest.mark.parametrize(("coverage", "said"), [(0.0, "is not between 0 and 1"), (1.0, "is not between 0 and 1")])
def test_a_coverage_that_is_no_share_is_refused(coverage: float, said: str, finished: Path) -> None:
    with pytest.raises(UserError, match=said):
        Predictor.open(finished)("the film was good", coverage=coverage)


def test_a_model_that_was_not_fitted_says_so(finished: Path) -> None:
    bare = dataclasses.replace(Predictor.open(finished), uncertainty=uncertainty.UNFITTED)
    with pytest.raises(UserError, match=r"coverage: this model has no uncertainty\.json\. Fit it again"):
        bare("the film was good", coverage=0.9)


@pytest.mark.parametrize(
    "written", ["", "{}", '{"int8": {"temperature": 0, "nonconformity": [], "rows": 1}}', '{"int8": {"temperature": "x"}}']
)
def test_a_damaged_file_is_refused_in_one_line(written: str, tmp_path: Path) -> None:
    (tmp_path / uncertainty.FILE).write_text(written)
    with pytest.raises(ModelError, match=r"uncertainty\.json: (cannot be read|holds numbers)"):
        load(tmp_path, "int8")


def test_checkpoint_and_graphs_have_an_uncertainty_of_their_own(finished: Path) -> None:
    checkpoint = read_json(finished / "model/uncertainty.json")
    assert set(checkpoint) == {"weights", "pytorch"}
    assert set(read_json(finished / "bundles/cpu/uncertainty.json")) == {"fp32", "int8"}
    assert Predictor.open(finished, "pytorch").uncertainty.rows == checkpoint["pytorch"]["rows"] > 0


def test_a_temperature_changes_confidence_and_no_answer(finished: Path) -> None:
    plain = dataclasses.replace(Predictor.open(finished), uncertainty=uncertainty.UNFITTED)
    hot = dataclasses.replace(plain, uncertainty=Uncertainty(temperature=3.0))
    texts = [row["text"] for row in read_json(finished / "answers/rows.json")]
    before, after = plain(texts), hot(texts)
    assert [answer.label for answer in before] == [answer.label for answer in after]
    assert all(a.score > b.score for a, b in zip(before, after, strict=True))


def test_a_temperature_that_makes_confidences_worse_is_not_kept(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read_json(finished / "answers/rows.json")
    plain = Predictor.open(finished, "pytorch")
    kept, _ = fit(plain, rows)
    monkeypatch.setattr("hfrecipes.calibration.fit_temperature", lambda graded: [*graded] and 15.0)
    refused, answers = fit(plain, rows)
    assert refused.uncertainty.temperature == 1.0 and refused.uncertainty.rows == kept.uncertainty.rows
    assert refused.uncertainty.nonconformity != kept.uncertainty.nonconformity or kept.uncertainty.temperature == 1.0
    cold = dataclasses.replace(plain, uncertainty=Uncertainty())
    assert answers == cold.answer([cold.task.row(row) for row in rows])


def test_every_way_of_asking_gives_the_same_at_a_coverage(finished: Path) -> None:
    predictor = Predictor.open(finished)
    texts = ["the film was good", "the film was bad plot", "my card"]
    listed = predictor(texts, coverage=0.8)
    assert [predictor(text, coverage=0.8).among for text in texts] == [each.among for each in listed]
    assert [each.among for each in predictor(iter(texts), coverage=0.8)] == [each.among for each in listed]
    assert {len(each.among) == 1 for each in listed if not each.abstains} <= {True}
    assert str(listed[0]).startswith("abstains\t" if listed[0].abstains else "answers\t")


def test_right_labels_are_covered_on_the_rows_that_were_fitted(finished: Path) -> None:
    predictor = Predictor.open(finished)
    rows = read_json(finished / "answers/rows.json")
    asker, _ = fit(predictor, rows)
    found = asker([row["text"] for row in rows], coverage=0.9)
    inside = [row["label"] in each.among for row, each in zip(rows, found, strict=True)]
    assert sum(inside) / len(inside) >= 0.9
    claims, scores = judged(asker, rows, asker([row["text"] for row in rows]))
    assert len(claims) == len(scores) == len(rows) == asker.uncertainty.rows


def test_the_figures_of_a_run_hold_what_confidence_was_worth(finished: Path) -> None:
    for file in ("answers/pytorch.json", "measured/cpu-int8.json"):
        found: dict[str, Any] = json.loads((finished / file).read_text())
        assert len(found["claims"]) == len(found["nonconformity"]) == 32


def test_a_class_that_no_held_out_row_has_is_named(finished: Path) -> None:
    recipe, run = Recipe.load(finished / "recipe.yaml"), Run(finished)
    rows = read_json(finished / "answers/rows.json")
    assert unseen(recipe, run, rows) == []
    assert unseen(recipe, run, [row for row in rows if row["label"] == "negative"]) == ["positive"]
