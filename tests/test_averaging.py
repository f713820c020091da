"""Averaging: passes with dropout, and models of several seeds, measured beside the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfrecipes import verbs
from hfrecipes.averaging import averaged, dropout_engine, ensemble_engine
from hfrecipes.config import build
from hfrecipes.errors import RecipeError
from hfrecipes.folder import read_json
from hfrecipes.recipe import Recipe
from hfrecipes.report import Report
from hfrecipes.stages.evaluate import averages

TWO = [{"logits": np.array([[0.0, np.log(3.0)]])}, {"logits": np.array([[np.log(3.0), 0.0]])}]


def test_of_labels_the_probabilities_are_averaged_and_of_numbers_the_numbers() -> None:
    assert np.exp(averaged(TWO, "single_label_classification")["logits"]) == pytest.approx(np.array([[0.5, 0.5]]))
    assert averaged(TWO, "multi_label_classification")["logits"] == pytest.approx(np.log(0.625 / 0.375) * np.ones((1, 2)))
    assert averaged(TWO, "regression")["logits"] == pytest.approx(np.log(3.0) / 2 * np.ones((1, 2)))


def test_an_ensemble_of_one_model_twice_is_the_model() -> None:
    engine = ensemble_engine([lambda batch: TWO[0]] * 2, None)
    chances = np.exp(engine({})["logits"])
    assert chances == pytest.approx(np.array([[0.25, 0.75]]))


def test_passes_with_dropout_differ_from_the_model_and_are_the_same_each_time(tiny_bert: Path) -> None:
    import torch

    from tests.contracts import batch, classifier

    model = classifier(tiny_bert).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    given = {name: tensor.numpy() for name, tensor in batch().items() if name != "labels"}
    engine = dropout_engine(model, 4, "single_label_classification")
    first, again = engine(given)["logits"], engine(given)["logits"]
    with torch.inference_mode():
        plain = torch.log_softmax(model(**{k: torch.from_numpy(v) for k, v in given.items()}).logits, dim=-1).numpy()
    assert (first == again).all() and not np.allclose(first, plain)


def test_both_are_measured_beside_the_model(values: dict[str, Any], tmp_path: Path) -> None:
    asked = {**values, "uncertainty": {"mc_dropout": 2, "ensemble": 1}, "export": [], "check": []}
    train = {**values["train"], "num_train_epochs": 1}
    run = verbs.fit(build(Recipe, {**asked, "train": train}), tmp_path / "run")
    found = Report.load(run.path)
    assert [candidate.name for candidate in found.frontier] == ["pytorch", "mc_dropout", "ensemble"]
    assert found.frontier[2].mb == 2 * found.frontier[0].mb
    assert set(found.values["calibration_error"]) == {"pytorch", "mc_dropout", "ensemble"}
    weights = [run.model / "model.safetensors", run.path / "ensemble/1/model/model.safetensors"]
    assert weights[0].read_bytes() != weights[1].read_bytes()
    assert len(read_json(run.answers / "ensemble.json")["claims"]) == 32
    assert not (run.path / "ensemble/1/data").exists()


def test_a_model_that_writes_has_nothing_to_average(values: dict[str, Any], finished: Path, tmp_path: Path) -> None:
    from hfrecipes.folder import Run

    asked = {**values, "recipe": "t5", "task": "summarization", "uncertainty": {"mc_dropout": 2}}
    with pytest.raises(RecipeError, match=r"t5\.uncertainty: summarization has no probabilities to average"):
        averages(build(Recipe, asked), Run(tmp_path))
