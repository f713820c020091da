"""The family of static models: what they compute, that they are models of transformers, and whole runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from hfrecipes import Predictor, Report, verbs
from hfrecipes.config import build
from hfrecipes.errors import UserError
from hfrecipes.folder import read_json
from hfrecipes.recipe import Recipe
from hfrecipes.static_config import StaticConfig
from hfrecipes.static_model import StaticForSequenceClassification, StaticModel

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
NEW = {"new": "static", "config": {"hidden_size": 16}}
TRAIN = {"learning_rate": 2e-2, "num_train_epochs": 4, "per_device_train_batch_size": 8, "bf16": False, "logging_strategy": "no"}


def made(kind: Any = StaticModel, **sizes: Any) -> Any:
    torch.manual_seed(0)
    return kind(StaticConfig(**{"vocab_size": 30, "hidden_size": 8, **sizes})).eval()


@pytest.fixture(scope="module")
def asked(values: dict[str, Any]) -> dict[str, Any]:
    tokenizer = {"word": {"lowercase": True}}
    return {**values, "recipe": "static", "model": NEW, "tokenizer": tokenizer, "train": TRAIN}


@pytest.fixture(scope="module")
def trained(asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "run"
    verbs.run(build(Recipe, asked), folder)
    return folder


@pytest.mark.parametrize("pooling", ["mean", "weighted"])
def test_a_text_is_the_mean_of_its_vectors_each_times_its_weight(pooling: str) -> None:
    model = made(pooling=pooling)
    weights = torch.ones(30)
    if pooling == "weighted":
        weights = torch.rand(30)
        model.weights.data = weights
    table = (model.vectors.weight * weights[:, None]).detach()
    found = model(IDS, MASK).pooler_output
    torch.testing.assert_close(found[0], table[IDS[0]].mean(0))
    torch.testing.assert_close(found[1], table[IDS[1][:3]].mean(0))


@pytest.mark.parametrize("sizes", [{}, {"pooling": "mean"}, {"intermediate_size": 4}])
def test_it_is_saved_and_loaded_by_the_auto_classes(sizes: dict[str, Any], tmp_path: Path) -> None:
    model = made(StaticForSequenceClassification, num_labels=3, **sizes)
    model.save_pretrained(tmp_path)
    code = (
        "import hfrecipes, sys; from transformers import AutoModelForSequenceClassification as A; A.from_pretrained(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(IDS, MASK).logits, model(IDS, MASK).logits)
    assert type(AutoModel.from_pretrained(tmp_path)) is StaticModel
    assert AutoConfig.from_pretrained(tmp_path).pooling == model.config.pooling


def test_more_tokens_keep_the_weights_of_the_old_ones() -> None:
    model = made()
    model.weights.data = torch.rand(30)
    before = model(IDS, MASK).pooler_output
    model.resize_token_embeddings(32)
    assert len(model.weights) == 32
    torch.testing.assert_close(model(IDS, MASK).pooler_output, before)


def test_a_run_trains_exports_and_answers(trained: Path) -> None:
    assert Report.load(trained).scores["accuracy"] > 0.9
    assert sorted(read_json(trained / "bundles/cpu/manifest.json")["graphs"]) == ["fp32", "int8"]
    for graph in ("fp32", "int8", "pytorch"):
        answers = Predictor.open(trained, graph)(["the film was great", "the film was awful"])
        assert [answer.label for answer in answers] == ["positive", "negative"], graph


def test_what_it_answers_does_not_depend_on_what_comes_with_it(trained: Path) -> None:
    predictor = Predictor.open(trained, "fp32")
    [alone] = predictor(["the film was good"])
    together, _ = predictor(["the film was good", "a film a film a film a film a film was bad"])
    assert alone.score == pytest.approx(together.score, abs=1e-6)


@pytest.mark.parametrize("task", ["token-classification", "text-generation"])
def test_what_it_cannot_do_is_one_line(task: str, asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError):
        verbs.fit(build(Recipe, {**asked, "task": task}), tmp_path / "run")
