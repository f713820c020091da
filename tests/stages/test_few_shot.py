"""few_shot: each objective learns in episodes, and is measured on classes that it never saw, beside the baselines."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hfrecipes import Predictor, verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.config import build
from hfrecipes.episodes import Draw, Episodes
from hfrecipes.errors import DataError, ModelError, RecipeError
from hfrecipes.few_shot import NORMAL, Asked, result
from hfrecipes.folder import read_json
from hfrecipes.inference.embedding import embeddings
from hfrecipes.objectives.maml import Maml
from hfrecipes.part import find
from hfrecipes.recipe import Recipe
from tests.conftest import WORDS, write_lines
from tests.contracts import every

WAYS = [name for name in every("objectives") if find("objectives", name).by_batch]


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of ten classes that say a word of their own again and again."""
    draw, folder = random.Random(0), tmp_path_factory.mktemp("topics")
    for split, count in {"train": 12, "test": 10}.items():
        rows = [
            {"text": " ".join([word, *draw.sample(WORDS[10:], 3), word]), "label": word}
            for word in WORDS[:10]
            for _ in range(count)
        ]
        write_lines(folder / f"{split}.jsonl", rows)
    return folder


@pytest.fixture
def recipe(values: dict[str, Any], topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """A recipe of two ways and two shots."""
    monkeypatch.setenv("HFRECIPES_FEATURES", str(tmp_path / "features"))
    asked = {"ways": 2, "shots": 2, "queries": 3, "count": 4, "measured": 5}

    def made(**more: Any) -> Recipe:
        train = {"learning_rate": 5e-3, "num_train_epochs": 1, "bf16": False}
        return build(
            Recipe, {**values, "data": str(topics), "episodes": asked, "train": train, "objective": "prototypes", **more}
        )

    return made


@pytest.mark.parametrize("name", WAYS)
def test_an_objective_is_measured_beside_the_baselines(name: str, recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    run = verbs.fit(recipe(objective=name), tmp_path / "run")
    found = read_json(run.path / "few_shot.json")
    assert [each["method"] for each in found["results"]] == [
        *(name, "prototypes, frozen", "logistic regression, frozen", "full fine-tuning on the support")
    ]
    assert all(0 <= each["mean"] <= 1 and each["half"] >= 0 and each["episodes"] == 5 for each in found["results"])
    told = f"| {name} | {found['results'][0]['mean']:.4f} ± {found['results'][0]['half']:.4f} |"
    assert told in (run.path / "report.md").read_text("utf-8")
    classes = read_json(run.data / "facts.json")["learned"]["episode_classes"]
    assert found["classes"] == classes["test"]
    predictor = Predictor.open(run.path, "pytorch")
    known = {*classes["train"], *classes["validation"]}
    assert set(predictor("the film").scores) == known
    assert not known & set(classes["test"])


def test_the_head_of_a_trained_model_has_the_means_of_its_classes(
    recipe: Callable[..., Recipe], topics: Path, tmp_path: Path
) -> None:
    run = verbs.learn(recipe(), tmp_path / "run")
    rows = [json.loads(line) for line in (topics / "train.jsonl").read_text("utf-8").splitlines()]
    predictor = Predictor.open(run.path, "pytorch")
    name = sorted(predictor.config["label2id"])[0]
    vectors = embeddings(predictor, [row["text"] for row in rows if row["label"] == name])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    model: Any = load_trained(run.model)
    mine = model.classifier[0].weight[predictor.config["label2id"][name]].detach().numpy()
    np.testing.assert_allclose(mine, vectors.mean(axis=0), atol=1e-5)


def test_the_mean_and_the_interval_are_the_field_s() -> None:
    episodes = list(Draw([i % 4 for i in range(40)], Episodes(ways=2, shots=1, queries=5)).many(100, 0))
    generator = np.random.default_rng(1)
    shares = []

    def answer(episode: Any) -> np.ndarray:
        found = generator.integers(0, 2, 10)
        shares.append(np.mean(found == [0] * 5 + [1] * 5))
        return found

    found = result("chance", answer, episodes)
    assert found.mean == pytest.approx(np.mean(shares))
    assert found.half == pytest.approx(NORMAL * np.std(shares, ddof=1) / 10)
    assert str(found) == f"{found.mean:.4f} ± {found.half:.4f}"
    with pytest.raises(DataError, match="1 episodes have no interval"):
        result("chance", answer, episodes[:1])


def test_embeddings_are_read_from_the_store_the_second_time(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    run = verbs.learn(recipe(), tmp_path / "run")
    predictor = Predictor.open(run.path, "pytorch")
    texts = ["the film", "a bank card", "the film"]
    first = embeddings(predictor, texts, "weights")
    silent = dataclasses.replace(predictor, engine=lambda batch: {})
    np.testing.assert_array_equal(embeddings(silent, texts, "weights"), first)
    np.testing.assert_allclose(embeddings(predictor, texts), first, atol=1e-6)
    with pytest.raises(ModelError, match="says no embeddings of texts"):
        embeddings(silent, ["lovely"], "weights")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"objective": "supervised"}, "supervised does not learn from episodes. Take one of: anil, contrastive"),
        ({"episodes": None}, "learns from episodes. Write `episodes:"),
        ({"batch_tokens": 100}, "batch_tokens: prototypes compares the rows of a batch"),
        ({"train": {"per_device_train_batch_size": 8}}, "per_device_train_batch_size: episodes say which rows are read"),
        ({"validate": 2}, "validate: episodes say which rows are read"),
        ({"episodes": {"ways": 2, "shots": 2, "queries": 9}}, "has 10 different examples, fewer than 2 shots and 9 queries"),
    ],
)
def test_what_cannot_be_is_one_line(more: dict[str, Any], said: str, recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises((RecipeError, DataError), match=said):
        verbs.begin(recipe(**more), tmp_path / "run")


def test_what_only_a_model_shows_is_one_line_too(recipe: Callable[..., Recipe], tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="strategy: leaves the embeddings as they are"):
        verbs.learn(recipe(strategy="feature_extraction"), tmp_path / "frozen")
    rows = [{"text": f"the film {word}", "label": [word, "a"]} for word in WORDS[:8]]
    several = {"data": str(write_lines(tmp_path / "several/train.jsonl", rows).parent), "episodes": None}
    with pytest.raises(RecipeError, match="contrastive: compares rows of one class each"):
        verbs.learn(recipe(**several, objective="contrastive"), tmp_path / "pairs")
    with pytest.raises(RecipeError, match="prototype: has a point for each class, and rows have not one class each here"):
        verbs.learn(recipe(**several, objective="supervised", head="prototype"), tmp_path / "points")
    tagged = [{"tokens": ["the", "film"], "tags": ["O", "B-X"]} for _ in range(8)]
    words = {"data": str(write_lines(tmp_path / "words/train.jsonl", tagged).parent), "task": "token-classification"}
    with pytest.raises(RecipeError, match="reads one vector a text, and token-classification answers for every token"):
        verbs.learn(recipe(**words, episodes=None, objective="supervised", head="prototype"), tmp_path / "tokens")


def test_blocks_that_are_frozen_for_a_time_do_no_harm(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    train = {"num_train_epochs": 3, "learning_rate": 1e-3, "bf16": False, "save_strategy": "no", "eval_strategy": "no"}
    run = verbs.learn(recipe(strategy="gradual_unfreezing", objective="contrastive", train=train), tmp_path / "run")
    assert (run.model / "model.safetensors").is_file()


def test_a_model_with_the_words_of_an_episode_alone_adapts_as_the_whole_one(
    recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    run = verbs.learn(recipe(), tmp_path / "run")
    predictor, model = Predictor.open(run.path, "pytorch"), load_trained(run.model)
    rows = [{"text": f"the {word} of my {WORDS[i % 7]}"} for i, word in enumerate(WORDS[:20])]
    episodes = Episodes(ways=2, shots=2, queries=3)
    episode = Draw([i % 2 for i in range(20)], episodes).one(np.random.default_rng(0))
    asked, objective = Asked(predictor, model, rows, episodes), Maml(steps=2, rate=0.1)
    small = objective.adapted(model, asked.batch(episode), episodes)[0]
    asked.whole_again()
    read = predictor.task.collate([asked.features[i] for i in episode.rows], predictor.tokens)
    whole = {name: torch.from_numpy(array) for name, array in read.items()} | {"labels": torch.zeros(10, dtype=torch.long)}
    assert model.get_input_embeddings().weight is asked.whole
    torch.testing.assert_close(small, objective.adapted(model, whole, episodes)[0], atol=1e-5, rtol=1e-5)
