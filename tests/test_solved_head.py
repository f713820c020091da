"""A last layer that is solved: the regression that scikit-learn finds, for every family, and steps that go on from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hfrecipes import feature_store, solved_head, verbs
from hfrecipes.arguments import arguments
from hfrecipes.config import build
from hfrecipes.entries import WithEntries
from hfrecipes.errors import RecipeError
from hfrecipes.folder import read_json
from hfrecipes.heads import Head
from hfrecipes.recipe import Recipe
from hfrecipes.solved_head import SolvedHead, solve
from hfrecipes.stages.train import trainer_for
from hfrecipes.strategies.feature_extraction import FeatureExtraction
from hfrecipes.strategies.head_then_full import HeadThenFull
from tests.conftest import Open, sentiment, write_lines
from tests.strategies.test_contract import FAMILIES

SOLVER = {"feature_extraction": {"solver": "lbfgs"}}
LAST = {"bert": "classifier.", "gpt": "score.", "t5": "classification_head.out_proj."}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(feature_store.WHERE, str(tmp_path / "features"))


def made(tmp_path: Path, model: Any, strategy: Any, name: str = "bert", **train: Any) -> Recipe:
    write_lines(tmp_path / "data/train.jsonl", sentiment(96))
    options = {"num_train_epochs": 0, "learning_rate": 1e-3, "bf16": False, **train}
    values = {
        "recipe": name,
        "task": "text-classification",
        "data": {"path": str(tmp_path / "data"), "validation_size": 0.4},
        "model": model,
    }
    return build(Recipe, {**values, "strategy": strategy, "train": options})


def kind(problem: str | None, labels: int) -> Any:
    return SimpleNamespace(problem_type=problem, num_labels=labels)


def cloud(classes: int = 5, rows: int = 400, units: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of some classes whose directions spread differently, and far from zero."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, classes, rows)
    vectors = (draw.normal(size=(classes, units))[labels] + draw.normal(size=(rows, units))) * np.linspace(0.1, 3, units) + 5
    return torch.tensor(vectors, dtype=torch.float32), torch.from_numpy(labels)


def test_one_class_an_item_is_the_logistic_regression_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over vectors that its own pooled covariance, shrunk alike, makes even."""
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(solved_head, "ENOUGH", 1e-10)
    monkeypatch.setattr(solved_head, "ITERATIONS", 500)
    monkeypatch.setattr(solved_head, "PENALTIES", (1.0,))
    vectors, labels = cloud()
    weight, bias = solve(vectors, labels, (vectors, labels), kind("single_label_classification", 5), biased=True)
    flat, numbers = vectors.double().numpy(), labels.numpy()
    means = np.stack([flat[numbers == label].mean(0) for label in range(5)])
    within = np.cov((flat - means[numbers]).T, bias=True)
    within += np.eye(12) * solved_head.SHRINKAGE * (flat - flat.mean(0)).var(axis=0).mean()
    even = np.linalg.inv(np.linalg.cholesky(within)).T
    peer = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit((flat - flat.mean(0)) @ even, numbers)
    expected = peer.predict_log_proba((flat - flat.mean(0)) @ even)
    assert bias is not None
    said = torch.log_softmax(vectors @ weight.T + bias, dim=-1)
    np.testing.assert_allclose(said.numpy(), expected, rtol=1e-3, atol=1e-3)


def test_several_labels_numbers_and_a_layer_without_a_bias() -> None:
    vectors, labels = cloud(classes=2, rows=300)
    several = torch.stack([labels, 1 - labels], dim=1).float()
    weight, bias = solve(vectors, several, (vectors, several), kind("multi_label_classification", 2), biased=True)
    assert bias is not None
    assert (((vectors @ weight.T + bias) > 0).float() == several).float().mean() > 0.9
    number = vectors[:, 0] * 3 - vectors[:, 5] + 7
    weight, bias = solve(vectors, number, (vectors, number), kind(None, 1), biased=True)
    assert bias is not None
    torch.testing.assert_close((vectors @ weight.T + bias)[:, 0], number, atol=0.3, rtol=0)
    weight, bias = solve(vectors - 5, labels, (vectors - 5, labels), kind("single_label_classification", 2), biased=False)
    assert bias is None
    assert (((vectors - 5) @ weight.T).argmax(dim=1) == labels).float().mean() > 0.9


def test_one_row_of_each_class_is_enough() -> None:
    vectors, _ = cloud(classes=5, rows=5)
    weight, bias = solve(
        vectors, torch.arange(5), (vectors[:0], torch.arange(0)), kind("single_label_classification", 5), biased=True
    )
    assert bias is not None
    assert (vectors @ weight.T + bias).argmax(dim=1).tolist() == [0, 1, 2, 3, 4]


def test_what_is_held_out_says_how_much_weights_are_penalised() -> None:
    """Labels that say nothing are not learnt by heart, those that do are learnt well."""
    vectors, labels = cloud(rows=200)
    nothing = labels[torch.from_numpy(np.random.default_rng(1).permutation(200))]
    loss = {}
    for name, said in {"something": labels, "nothing": nothing}.items():
        held = (vectors[:100], said[:100])
        weight, bias = solve(vectors[100:], said[100:], held, kind("single_label_classification", 5), biased=True)
        assert bias is not None
        loss[name] = float(torch.nn.functional.cross_entropy(vectors[:100] @ weight.T + bias, held[1]))
    chance = np.log(5)
    assert loss["something"] < chance / 2
    assert loss["nothing"] < chance * 1.1, "with C=1 alone it is 1.18 times that of chance"


@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
def test_without_steps_nothing_but_the_last_layer_moves(
    family: str, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path
) -> None:
    model = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]
    found = {}
    for name, strategy in {"solved": SOLVER, "drawn": "feature_extraction"}.items():
        run = verbs.fit(made(tmp_path, str(model), strategy, family), tmp_path / name)
        found[name] = load_file(run.model / "model.safetensors")
    moved = {name for name, weight in found["drawn"].items() if not torch.equal(weight, found["solved"][name])}
    assert {name.rpartition(".")[0] + "." for name in moved} == {LAST[family]}


@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
def test_the_loss_over_what_the_last_layer_reads_falls(
    family: str, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path
) -> None:
    model = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]
    trainer, head = solved(made(tmp_path, str(model), SOLVER, family), tmp_path / "run")
    head.frozen.begin(0)
    vectors, labels, _ = head.read(head.rows, dropout=False)
    head.frozen.end()
    before = torch.nn.functional.cross_entropy(head.layer(vectors), labels)
    head.on_train_begin(trainer.args, trainer.state, trainer.control)
    after = torch.nn.functional.cross_entropy(head.layer(vectors), labels)
    assert after < before - 0.02


def test_every_token_of_a_text_with_a_label_counts(tiny_bert: Path, tmp_path: Path) -> None:
    tags = {"good": "B-X", "bad": "B-Y"}
    rows = [{"tokens": r["text"].split(), "tags": [tags.get(w, "O") for w in r["text"].split()]} for r in sentiment(96)]
    write_lines(tmp_path / "data/train.jsonl", rows)
    values = {"recipe": "bert", "task": "token-classification", "data": str(tmp_path / "data"), "model": str(tiny_bert)}
    train = {"num_train_epochs": 0, "bf16": False}
    loss = {}
    for name, strategy in {"solved": SOLVER, "drawn": "feature_extraction"}.items():
        run = verbs.fit(build(Recipe, {**values, "strategy": strategy, "train": train}), tmp_path / name)
        loss[name] = read_json(run.model / "scores.json")["validation"]["loss"]
    assert loss["solved"] < loss["drawn"] / 2


def test_every_weight_goes_on_from_a_head_that_was_solved(tiny_bert: Path, tmp_path: Path) -> None:
    still = {"path": str(tiny_bert), "config": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    first = {}
    for name, strategy in {"solved": {"head_then_full": {"solver": "lbfgs", "head_epochs": 0}}, "drawn": "full"}.items():
        run = verbs.fit(made(tmp_path, still, strategy, num_train_epochs=1, logging_steps=1), tmp_path / name)
        first[name] = next(entry["loss"] for entry in read_json(run.model / "history.json") if "loss" in entry)
    assert first["solved"] < first["drawn"] - 0.1


def test_where_steps_with_dropout_follow_what_it_changes_makes_the_head_smaller(tiny_bert: Path, tmp_path: Path) -> None:
    recipe = made(tmp_path, str(tiny_bert), SOLVER, num_train_epochs=1)
    _, head = solved(recipe, tmp_path / "run")
    state = torch.get_rng_state()
    head.frozen.begin(0)
    vectors, labels, noise = head.read(head.rows, dropout=True)
    assert torch.equal(torch.get_rng_state(), state), "a training draws what it would have drawn"
    total = noise.sum()
    for seed in range(15):
        torch.manual_seed(seed)
        total = total + head.read(head.rows, dropout=True)[2].sum()
    wanted = vectors.square().mean(dim=0).sum() / 9
    assert float(total / 16) == pytest.approx(float(wanted), rel=0.1), "p / (1 - p) of it, p = 0.1"
    assert not head.read(head.rows, dropout=False)[2].any()
    held = (vectors, labels)
    sizes = [solve(vectors, labels, held, head.model.config, biased=True, noise=add)[0].norm() for add in (0.0, noise)]
    assert sizes[1] < sizes[0] / 2


def solved(recipe: Recipe, folder: Path) -> tuple[Any, SolvedHead]:
    """A training and its callback that solves the head."""
    trainer = trainer_for(recipe, verbs.begin(recipe, folder))
    [head] = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, SolvedHead)]
    return trainer, head


def test_a_training_that_goes_on_keeps_the_head_it_has(tiny_bert: Path, tmp_path: Path) -> None:
    trainer, head = solved(made(tmp_path, str(tiny_bert), SOLVER, num_train_epochs=1), tmp_path / "run")
    before = head.layer.weight.detach().clone()
    trainer.state.global_step = 3
    head.on_train_begin(trainer.args, trainer.state, trainer.control)
    assert torch.equal(head.layer.weight, before)
    trainer.state.global_step = 0
    head.on_train_begin(trainer.args, trainer.state, trainer.control)
    assert not torch.equal(head.layer.weight, before)
    assert "forward" not in vars(head.layer), "the layer is whole again"


def test_in_a_trainer_of_ones_own(tiny_bert: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer, rows = AutoTokenizer.from_pretrained(tiny_bert), sentiment(96)
    labels = [int(row["label"] == "positive") for row in rows]
    data = Dataset.from_dict({**tokenizer([row["text"] for row in rows]), "labels": labels})
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny_bert, num_labels=2, problem_type="single_label_classification"
    )
    collate = DataCollatorWithPadding(tokenizer)
    arguments = TrainingArguments(str(tmp_path / "out"), num_train_epochs=0, use_cpu=True, save_strategy="no", report_to="none")
    head = SolvedHead(model, WithEntries(data), WithEntries(data), collate)
    Trainer(model, arguments, collate, data, callbacks=[head]).train()
    said = model.eval()(**collate(list(data))).logits.argmax(dim=-1)
    assert len(set(labels)) == 2
    assert (said == torch.tensor(labels)).float().mean() > 0.8


def test_what_has_no_last_layer_to_solve_is_refused(
    fresh: Open, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for strategy in (FeatureExtraction(solver="lbfgs"), HeadThenFull(solver="lbfgs")):
        with pytest.raises(RecipeError, match="no head that classifies"):
            strategy.prepare(fresh("gpt", "text-generation"), FAMILIES["gpt"])
        with pytest.raises(RecipeError, match="no head that could learn"):
            strategy.prepare(fresh("bert", "feature-extraction"), FAMILIES["bert"])
    points = dataclasses.replace(made(tmp_path, str(tiny_bert), SOLVER), head=Head.choose("prototype"))
    with pytest.raises(RecipeError, match=r"strategy\.feature_extraction\.solver: the points of a prototype head"):
        verbs.fit(points, tmp_path / "run")
    sharded = made(tmp_path, str(tiny_bert), SOLVER)
    run = verbs.begin(sharded, tmp_path / "sharded")
    monkeypatch.setattr("hfrecipes.stages.train.arguments", lambda *given: with_shards(arguments(*given)))
    with pytest.raises(RecipeError, match=r"solver: the last layer is in shards"):
        trainer_for(sharded, run)


def test_a_head_that_learns_nothing_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"head_then_full: with 0 head_epochs and no solver the head learns nothing alone"):
        made(tmp_path, "bert", {"head_then_full": {"head_epochs": 0}})


def with_shards(options: Any) -> Any:
    options.fsdp = "full_shard"
    return options
