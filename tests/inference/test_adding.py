"""add_class: a class more from a few examples, without training, for a checkpoint, an int8 bundle and a release."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfrecipes import Predictor, verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.config import build
from hfrecipes.errors import DataError, ModelError, UserError
from hfrecipes.folder import Run, read_json, verified
from hfrecipes.inference.embedding import embeddings
from hfrecipes.recipe import Recipe
from hfrecipes.registry import Registry
from hfrecipes.release import assemble
from tests.conftest import sentiment

NEW = ["card bank card", "bank card play bank"]
OLD = ["the film was good", "the film was bad", "the film was awful the a"]


@pytest.fixture(scope="module")
def shipped(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a prototype head and its int8 bundle. Read it, never change it."""
    folder = tmp_path_factory.mktemp("prototypes") / "run"
    recipe = build(Recipe, {**values, "head": "prototype", "export": [{"cpu": {"quantize": "dynamic"}}], "check": []})
    verbs.run(recipe, folder)
    return folder


@pytest.mark.parametrize("graph", ["pytorch", "cpu/int8", "cpu/fp32"])
def test_a_class_more_is_answered_and_the_old_ones_are_as_before(graph: str, shipped: Path, tmp_path: Path) -> None:
    predictor = Predictor.open(shipped, graph)
    before = predictor(OLD)
    source = Path(str(predictor.source))
    files = {file: file.read_bytes() for file in source.rglob("*") if file.is_file()}
    wider = predictor.add_class("cards", NEW, tmp_path / "wider")
    assert [answer.label for answer in wider(NEW)] == ["cards", "cards"]
    assert [answer.label for answer in wider(OLD)] == [answer.label for answer in before]
    assert sorted(wider.config["label2id"]) == ["cards", "negative", "positive"]
    for one, two in zip(wider(OLD), before, strict=True):
        kept = np.array([one.scores[name] for name in two.scores])
        np.testing.assert_allclose(kept / kept.sum(), list(two.scores.values()), atol=2e-3)
    assert {file: file.read_bytes() for file in source.rglob("*") if file.is_file()} == files


def test_every_graph_of_a_bundle_knows_the_class_and_the_bundle_is_sealed(shipped: Path, tmp_path: Path) -> None:
    wider = Predictor.open(shipped).add_class("cards", NEW, tmp_path / "wider")
    assert verified(tmp_path / "wider")["added"] == ["cards"]
    answers = [Predictor.open(tmp_path / "wider", graph)(NEW)[0].label for graph in ("fp32", "int8")]
    assert answers == ["cards", "cards"]
    again = wider.add_class("plays", ["play old plot"], tmp_path / "widest")
    assert [again(text).label for text in (NEW[0], "play old plot")] == ["cards", "plays"]
    assert verified(tmp_path / "widest")["added"] == ["cards", "plays"]
    with pytest.raises(UserError, match="has no uncertainty"):
        again(NEW[0], coverage=0.9)


def test_a_release_is_copied_whole_and_can_be_the_next_release(shipped: Path, tmp_path: Path) -> None:
    assemble(Run.open(shipped), tmp_path / "release")
    registry = Registry(tmp_path / "registry")
    folder = registry.folder(registry.add(tmp_path / "release").name)
    Predictor.open(folder).add_class("cards", NEW, tmp_path / "wider")
    assert verified(tmp_path / "wider")["kind"] == "release"
    assert (tmp_path / "wider/config.json").stat().st_mode & 0o200
    assert not (tmp_path / "wider/report.json").exists()
    added = registry.add(tmp_path / "wider")
    assert added.name == "v2"
    for graph in (None, "pytorch"):
        assert Predictor.open(registry.folder("v2"), graph)(NEW[1]).label == "cards"
    assert "cards" not in read_json(folder / "config.json")["label2id"]


def test_without_a_folder_it_lies_beside_the_old_one(shipped: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped / "model", tmp_path / "model")
    wider = Predictor.open(tmp_path / "model").add_class("bank cards", NEW)
    assert wider.source == tmp_path / "model_bank_cards"
    with pytest.raises(DataError, match="is there already"):
        Predictor.open(tmp_path / "model").add_class("bank cards", NEW)


@pytest.mark.parametrize(
    ("name", "texts", "said"),
    [
        ("positive", NEW, "there is a class 'positive' already"),
        ("", NEW, "the class has no name"),
        ("cards", [], "has no list of examples. Give 1 to 5 texts"),
        ("cards", "one text", "has no list of examples"),
    ],
)
def test_what_cannot_be_added_is_one_line(name: str, texts: Any, said: str, shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        Predictor.open(shipped).add_class(name, texts, tmp_path / "wider")
    assert not (tmp_path / "wider").exists()


def test_a_head_without_prototypes_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no prototypes that a class could be added to\. Train it"):
        Predictor.open(finished).add_class("cards", NEW, tmp_path / "wider")


def test_points_that_were_learned_are_no_place_for_another_class(values: dict[str, Any], tmp_path: Path) -> None:
    train = {**values["train"], "num_train_epochs": 1}
    run = verbs.learn(build(Recipe, {**values, "head": {"prototype": {"means": False}}, "train": train}), tmp_path / "run")
    predictor = Predictor.open(run.path, "pytorch")
    rows = [row["text"] for row in sentiment(96) if row["label"] == "positive"]
    [points] = [weight for name, weight in load_trained(run.model).named_parameters() if name == "classifier.0.weight"]
    assert np.abs(points[1].detach().numpy() - embeddings(predictor, rows).mean(axis=0)).max() > 1e-3
    with pytest.raises(ModelError, match="has no prototypes that a class could be added to"):
        predictor.add_class("cards", NEW, tmp_path / "wider")
