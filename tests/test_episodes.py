"""Episodes: classes that are parted once, and tasks of few examples in which nothing is asked that was shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfrecipes import verbs
from hfrecipes.config import build
from hfrecipes.episodes import Draw, Episode, Episodes, part
from hfrecipes.errors import DataError, RecipeError
from hfrecipes.folder import read_json
from hfrecipes.recipe import Recipe
from tests.conftest import write_lines

ASKED = Episodes(ways=2, shots=2, queries=3)
LABELS = [f"class {i % 10}" for i in range(100)]
GROUPS = [f"group {i % 10 // 2}" for i in range(100)]


def test_no_class_is_in_two_parts_and_every_class_in_one() -> None:
    found = part(LABELS, None, ASKED, seed=3)
    assert sorted(label for labels in found.values() for label in labels) == sorted(set(LABELS))
    assert {name: len(labels) for name, labels in found.items()} == {"test": 3, "validation": 2, "train": 5}
    assert part(LABELS, None, ASKED, seed=3) == found
    assert any(part(LABELS, None, ASKED, seed=seed) != found for seed in range(5))


def test_a_group_of_classes_is_in_one_part() -> None:
    found = part(LABELS, GROUPS, ASKED, seed=0)
    home = dict(zip(LABELS, GROUPS, strict=True))
    groups = [{home[label] for label in labels} for labels in found.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 5


def test_an_episode_has_its_ways_shots_and_queries_and_asks_nothing_twice() -> None:
    episodes = list(Draw(LABELS, ASKED).many(50, seed=1))
    again = list(Draw(LABELS, ASKED).many(50, seed=1))
    assert len(episodes) == 50
    for episode, same in zip(episodes, again, strict=True):
        assert (episode.support.shape, episode.query.shape) == ((2, 2), (2, 3))
        assert len(set(episode.rows.tolist())) == 10
        named = [{LABELS[i] for i in [*support, *query]} for support, query in zip(episode.support, episode.query, strict=True)]
        assert [len(names) for names in named] == [1, 1]
        assert named[0] != named[1]
        np.testing.assert_array_equal(episode.rows, same.rows)


def test_equal_texts_are_one_example() -> None:
    texts = [f"Text {i % 50}" if i < 50 else f"text  {i % 50}" for i in range(100)]
    drawn = {int(row) for episode in Draw(LABELS, ASKED, texts).many(200, seed=0) for row in episode.rows}
    assert drawn == set(range(50))


@pytest.mark.parametrize(
    ("labels", "asked", "said"),
    [
        (LABELS, replace(ASKED, ways=11), "11 ways need 11 classes, and the rows have 10"),
        (LABELS, replace(ASKED, shots=12), "the class 'class 0' has 10 different examples, fewer than 12 shots and 3 queries"),
        (LABELS, replace(ASKED, queries=9), "fewer than 2 shots and 9 queries"),
        ([*LABELS, "alone"], ASKED, r"'alone' has one example, .* write `without: \[alone\]`"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(labels: list[str], asked: Episodes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Draw(labels, asked)


def test_support_and_query_that_overlap_are_refused() -> None:
    with pytest.raises(DataError, match="row 3 is in the support and in the query"):
        Episode(np.array([[1], [3]]), np.array([[3], [4]]))


def test_parts_that_are_too_small_or_wrong_are_one_line() -> None:
    with pytest.raises(DataError, match="4 ways need 4 classes, and meta-test has 3 of 10"):
        part(LABELS, None, replace(ASKED, ways=4), seed=0)
    with pytest.raises(DataError, match="is in the groups"):
        part(["a", "a", "b"], ["x", "y", "x"], ASKED, seed=0)
    with pytest.raises(DataError, match="there is no class 'class 77'"):
        part(LABELS, None, replace(ASKED, without=("class 77",)), seed=0)


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """Rows of ten classes in five domains."""
    rows = [{"text": f"the film {i} was {i % 10}", "label": f"c{i % 10}", "domain": f"d{i % 10 // 2}"} for i in range(120)]
    return write_lines(tmp_path / "ten/train.jsonl", rows).parent


def prepared(values: dict[str, Any], out: Path, **more: Any) -> dict[str, Any]:
    """The facts of a recipe whose rows were prepared."""
    verbs.begin(build(Recipe, {**values, **more}), out)
    facts: dict[str, Any] = read_json(out / "data/facts.json")
    return facts


def test_episodes_of_a_recipe_keep_domains_apart(values: dict[str, Any], ten: Path, tmp_path: Path) -> None:
    asked = {"ways": 2, "shots": 1, "queries": 2, "by": "domain"}
    train = {key: entry for key, entry in values["train"].items() if key != "per_device_train_batch_size"}
    facts = prepared(values, tmp_path / "run", data={"path": str(ten)}, episodes=asked, objective="prototypes", train=train)
    classes = facts["learned"]["episode_classes"]
    domains = [{int(label[1:]) // 2 for label in labels} for labels in classes.values()]
    assert sorted(number for found in domains for number in found) == [0, 1, 2, 3, 4]
    assert facts["rows"] == {name: 12 * len(classes[name]) for name in ("train", "validation")}
    assert sorted(facts["learned"]["label2id"]) == sorted([*classes["train"], *classes["validation"]])


def test_so_many_rows_of_each_class(values: dict[str, Any], ten: Path, tmp_path: Path) -> None:
    prints = [
        prepared(values, tmp_path / f"run{i}", data={"path": str(ten), "per_class": 4}, seed=seed)["fingerprint"]
        for i, seed in enumerate((0, 0, 1))
    ]
    assert prints[0] == prints[1] != prints[2]
    facts = read_json(tmp_path / "run0/data/facts.json")
    assert facts["learned"]["label_counts"] == [4] * 10
    assert facts["rows"]["train"] == 40
    assert 0 < facts["rows"]["validation"] <= 40


@pytest.mark.parametrize(
    ("data", "said"),
    [({"per_class": 13}, "the class 'c0' has 12 rows, fewer than 13"), ({"per_class": 4, "labelled": 4}, "says something else")],
)
def test_wrong_numbers_of_rows_are_one_line(
    data: dict[str, int], said: str, values: dict[str, Any], ten: Path, tmp_path: Path
) -> None:
    with pytest.raises((DataError, RecipeError), match=said):
        prepared(values, tmp_path / "run", data={"path": str(ten), **data})
