"""prepare: tokenizers and models from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Predictor, Report, fit
from hfrecipes.config import build
from hfrecipes.errors import RecipeError
from hfrecipes.folder import read_json
from hfrecipes.recipe import Recipe
from tests.conftest import sentiment, write_lines

SIZES = {
    "bert": (
        "fill-mask",
        {"new": "bert", "config": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}},
    ),
    "gpt": ("text-generation", {"new": "gpt2", "config": {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}}),
    "t5": ("summarization", {"new": "t5", "config": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}}),
}


def values(family: str, folder: Path) -> dict[str, Any]:
    """A recipe that trains a tokenizer and a model from nothing."""
    rows = [{"text": r["text"], "source": r["text"], "target": r["label"]} for r in sentiment(64)]
    write_lines(folder / "train.jsonl", rows)
    write_lines(folder / "test.jsonl", rows[:8])
    task, model = SIZES[family]
    return {
        "recipe": family,
        "task": {task: {"max_length": 48}},
        "data": {"path": str(folder)},
        "model": model,
        "tokenizer": {"word": {"lowercase": True}},
        "before": True,
        "train": {"learning_rate": 1e-2, "num_train_epochs": 3, "per_device_train_batch_size": 8, "bf16": False},
    }


@pytest.mark.parametrize("family", sorted(SIZES))
def test_a_tokenizer_and_a_model_are_made_from_the_training_texts(family: str, tmp_path: Path) -> None:
    run = fit(build(Recipe, values(family, tmp_path / "data")), tmp_path / "run")
    config = read_json(run.model / "config.json")
    predictor = Predictor.open(run.path, "pytorch")
    assert config["vocab_size"] == predictor.tokens.tokenizer.get_vocab_size()
    assert predictor.tokens.encode(["the film was good"])[0].tokens.count("film") == 1
    report = Report.load(run.path)
    if family != "t5":
        assert report.scores["perplexity"] < report.values["before"]["perplexity"]


@pytest.mark.parametrize("change", [{"tokenizer": None}, {"model": "somewhere"}])
def test_a_new_model_and_a_trained_tokenizer_go_together(change: dict[str, Any], tiny_bert: Path, tmp_path: Path) -> None:
    change = {"model": str(tiny_bert)} if "model" in change else change
    with pytest.raises(RecipeError, match="Write both"):
        fit(build(Recipe, {**values("bert", tmp_path / "data"), **change}), tmp_path / "run")


def test_a_model_is_a_path_or_a_type(tmp_path: Path) -> None:
    for wrong in ({"path": "a", "new": "bert"}, {"revision": "main"}):
        with pytest.raises(RecipeError, match="needs a path or a type of model"):
            build(Recipe, {**values("bert", tmp_path / "data"), "model": wrong})
