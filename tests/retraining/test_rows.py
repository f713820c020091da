"""New rows put together with old ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value, load_from_disk

from hfrecipes import Data, Predictor, Recipe
from hfrecipes.config import build
from hfrecipes.data import open_splits
from hfrecipes.errors import DataError
from hfrecipes.folder import Run
from hfrecipes.retraining.candidate import fresh_name
from hfrecipes.retraining.rows import divided, labelled, lay_out, texts, unseen
from tests.conftest import reviews, write_lines
from tests.retraining.conftest import moved

NUMBERED = Features({"text": Value("string"), "label": ClassLabel(names=["negative", "positive"])})


def numbered(rows: list[dict[str, str]]) -> Dataset:
    """Rows whose labels are the numbers of names, as many data sets of the Hub have them."""
    return Dataset.from_list(rows).cast(NUMBERED)


@pytest.fixture
def recipe(values: dict[str, Any]) -> Recipe:
    return build(Recipe, values)


def test_names_are_put_with_numbers_and_both_are_read_back(served: Path, recipe: Recipe, tmp_path: Path) -> None:
    opened = Predictor.open(served)
    with_config = {**opened.config, "data_labels": ["negative", "positive"]}
    predictor = dataclasses.replace(opened, config=with_config)
    old = {"train": numbered(reviews(60, 0)), "validation": numbered(reviews(20, 1)), "test": numbered(reviews(20, 2))}
    new = labelled(Data(str(write_lines(tmp_path / "new.jsonl", moved(100, 1)))), predictor, old["train"])
    assert new.features == NUMBERED
    learn, window = divided(new, recipe, with_config, 0.3, "new.jsonl")
    assert (len(learn), len(window)) == (70, 30) and not set(learn["text"]) & set(window["text"])
    assert divided(new, recipe, with_config, 0.3, "new.jsonl")[1]["text"] == window["text"]
    assert abs(sum(window["label"]) - 15) <= 1
    lay_out(tmp_path, old, learn, window, recipe, "label")
    found = open_splits(Data(str(tmp_path / "source")))
    assert {name: len(rows) for name, rows in found.items()} == {"train": 60 + 53, "validation": 20 + 17, "test": 20}
    assert found["train"].features == NUMBERED and found["train"]["label"][:60] == old["train"]["label"][:]
    assert load_from_disk(str(tmp_path / "judged/before"))["text"] == old["test"]["text"]


def test_where_there_is_no_test_split_the_validation_rows_are_those_that_must_not_get_worse(
    recipe: Recipe, tmp_path: Path
) -> None:
    old = {"train": Dataset.from_list(reviews(60, 0)), "validation": Dataset.from_list(reviews(20, 1))}
    learn, window = divided(Dataset.from_list(moved(100, 1)), recipe, {"problem_type": "single_label_classification"}, 0.3, "new")
    lay_out(tmp_path, old, learn, window, recipe, None)
    assert set(open_splits(Data(str(tmp_path / "source")))) == {"train", "validation"}
    assert load_from_disk(str(tmp_path / "judged/before"))["text"] == old["validation"]["text"]


def test_a_candidate_gets_a_name_that_none_had(tmp_path: Path) -> None:
    for name in ("films", "films_r3", "films_r12x", "films_r"):
        (tmp_path / name).mkdir()
    run = Run(tmp_path / "films")
    assert fresh_name(run, []) == "films_r4" and fresh_name(run, [{"candidate": "films_r7"}, {}]) == "films_r8"


def test_a_name_that_the_numbers_do_not_have_is_refused(served: Path, tmp_path: Path) -> None:
    new = Data(str(write_lines(tmp_path / "new.jsonl", [{"text": "a film", "label": "odd"}])))
    with pytest.raises(DataError, match=r"new\.jsonl: cannot be put with the old rows: Invalid string class label odd"):
        labelled(new, Predictor.open(served), numbered(reviews(10, 0)))


def test_a_row_is_new_that_stands_nowhere_else_and_a_new_label_makes_it_new(recipe: Recipe) -> None:
    old = Dataset.from_list(reviews(10, 0))
    first, second, third = reviews(10, 0)[0], reviews(10, 0)[1], reviews(20, 3)[10]
    rows = [{**first, "text": f" {first['text'].upper()}"}, {**second, "label": "negative"}, third]
    assert unseen(Dataset.from_list(rows), [old], recipe.task)["text"][:] == [second["text"], third["text"]]


def test_texts_are_those_of_all_rows_but_the_judging_ones(recipe: Recipe, tmp_path: Path) -> None:
    rows = [{"said": "One", "label": "a"}, {"said": "two", "label": None}, {"said": "two", "label": "b"}, {"said": "three"}]
    data = Data(str(write_lines(tmp_path / "new.jsonl", rows)), columns={"text": "said"})
    assert texts(data, Dataset.from_list([{"text": "one", "label": "a"}]), recipe.task) == ["two", "three"]
