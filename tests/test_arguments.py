"""Arguments: the `train:` block on top of the library's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfrecipes.arguments import OURS, arguments, check_arguments, grouping
from hfrecipes.config import build
from hfrecipes.errors import RecipeError
from hfrecipes.recipe import Recipe


def recipe(values: dict[str, Any], **train: Any) -> Recipe:
    """The tiny recipe with another `train:` block."""
    return build(Recipe, {**values, "train": {"bf16": False, **train}})


def test_the_recipe_goes_above_the_defaults(values: dict[str, Any], tmp_path: Path) -> None:
    made = arguments(recipe(values, learning_rate=1e-3, eval_strategy="no", save_strategy="no"), tmp_path, "accuracy", False)
    assert made.learning_rate == 1e-3
    assert made.eval_strategy == "no"
    assert made.load_best_model_at_end is False
    assert made.output_dir == str(tmp_path)


@pytest.mark.parametrize("lower", [True, False])
def test_the_best_epoch_is_kept_by_the_metric_that_decides(lower: bool, values: dict[str, Any], tmp_path: Path) -> None:
    made = arguments(recipe(values), tmp_path, "perplexity", lower)
    assert (made.load_best_model_at_end, made.metric_for_best_model, made.greater_is_better) == (True, "perplexity", not lower)
    assert made.report_to == []


def test_items_are_whole_micro_batches_so_the_trainer_takes_one_in_sequence(values: dict[str, Any], tmp_path: Path) -> None:
    made = arguments(recipe(values, per_device_train_batch_size=32), tmp_path, "accuracy", False)
    assert (made.per_device_train_batch_size, made.train_sampling_strategy) == (1, "sequential")


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({}, (8, True)),
        ({"per_device_train_batch_size": 32}, (32, True)),
        ({"train_sampling_strategy": "random"}, (8, False)),
        ({"train_sampling_strategy": "group_by_length"}, (8, True)),
    ],
)
def test_rows_are_grouped_by_length_unless_they_are_asked_at_random(
    train: dict[str, Any], expected: tuple[int, bool], values: dict[str, Any]
) -> None:
    assert grouping(recipe(values, **train)) == expected


@pytest.mark.parametrize("key", OURS)
def test_what_the_run_decides_cannot_be_set(key: str, values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=f"bert.train.{key}: unknown key"):
        check_arguments(recipe(values, **{key: "x"}))


def test_a_key_like_none_names_where_the_keys_are(values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"the arguments of transformers\.TrainingArguments"):
        check_arguments(recipe(values, zzzqqq=1))


@pytest.mark.parametrize(
    "train",
    [
        {"num_train_epochs": 1},
        {"num_train_epochs": 0.5},
        {"max_steps": 10},
        {"warmup_steps": 0.1},
        {"lr_scheduler_type": "cosine"},
        {"lr_scheduler_kwargs": {"num_cycles": 1}},
        {"optim": "adamw_torch"},
        {"gradient_accumulation_steps": 4},
        {"logging_steps": 5},
        {"save_total_limit": 2},
        {"neftune_noise_alpha": 5.0},
    ],
    ids=str,
)
def test_what_people_write_is_accepted(train: dict[str, Any], values: dict[str, Any]) -> None:
    check_arguments(recipe(values, **train))


@pytest.mark.parametrize(
    "train", [{"seed": "x"}, {"learning_rate": [1]}, {"bf16": "often"}, {"max_steps": 1.5}, {"optim": 3}], ids=str
)
def test_a_value_of_another_type_is_refused_at_its_key(train: dict[str, Any], values: dict[str, Any]) -> None:
    [key] = train
    with pytest.raises(RecipeError, match=f"^bert.train.{key}: .*, not "):
        check_arguments(recipe(values, **train))


def test_what_the_trainer_would_heed_in_its_own_loss_alone_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"label_smoothing: 0\.1"):
        check_arguments(recipe(values, label_smoothing_factor=0.1))


def test_two_optimizers_are_refused(values: dict[str, Any]) -> None:
    made = build(Recipe, {**values, "optimizer": "lion", "train": {"optim": "adamw_torch"}})
    with pytest.raises(RecipeError, match=r"bert\.optimizer: `train\.optim` says something else"):
        check_arguments(made)


@pytest.mark.parametrize("key", ["lr_scheduler_type", "warmup_steps"])
def test_a_schedule_and_what_it_stands_for_are_refused(values: dict[str, Any], key: str) -> None:
    made = build(Recipe, {**values, "schedule": "one_cycle", "train": {key: {"warmup_steps": 0.1}.get(key, "cosine")}})
    with pytest.raises(RecipeError, match=rf"bert\.schedule: `train\.{key}` says something else"):
        check_arguments(made)


@pytest.mark.parametrize("key", ["per_device_train_batch_size", "train_sampling_strategy"])
def test_a_budget_of_tokens_and_what_it_stands_for_are_refused(values: dict[str, Any], key: str) -> None:
    given = {"per_device_train_batch_size": 8, "train_sampling_strategy": "random"}
    made = build(Recipe, {**values, "batch_tokens": 512, "train": {key: given[key]}})
    with pytest.raises(RecipeError, match=rf"bert\.batch_tokens: `train\.{key}` says something else"):
        check_arguments(made)


@pytest.mark.parametrize("rate", [0, -1e-5])
def test_a_rate_that_teaches_nothing_is_refused(values: dict[str, Any], rate: float) -> None:
    with pytest.raises(RecipeError, match="Write a number above 0"):
        check_arguments(recipe(values, learning_rate=rate))
