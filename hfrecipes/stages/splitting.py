"""Splitting: the classes of a training in episodes, and how the rows of a training come in batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.data import take
from hfrecipes.episodes import Draw, Episodes, part
from hfrecipes.errors import RecipeError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hfrecipes.recipe import Recipe

CLASSES = "episode_classes"
"""The entry of what is learned from rows that holds the classes of each part."""


def by_classes(
    recipe: Recipe, asked: Episodes, splits: DatasetDict, config: Mapping[str, Any], beside: Sequence[str]
) -> tuple[Dataset, Dataset, Dataset, dict[str, Any]]:
    """The rows to learn from, those of other classes that choose, no rows without a label, and what both teach. Raises DataError
    where classes or their rows are too few for an episode."""
    task, data = recipe.task, recipe.data
    extra = [name for name in [asked.by] if name is not None and name not in beside]
    rows = take(data, splits, data.train, task.columns, [*beside, *extra])
    if task.stratify(task.learn(rows, config)) != "label":
        raise RecipeError(f"{recipe.name}.episodes", f"{task.name} has no classes to draw here", "Leave it out")
    classes = part(rows["label"], rows[asked.by] if asked.by else None, asked, recipe.seed)
    rows = rows.remove_columns(extra)
    train, validation = (of_classes(rows, classes[name]) for name in ("train", "validation"))
    for found in (train, validation, measured(recipe, splits, classes["test"])):
        Draw(found["label"], asked, found["text"])
    learned = task.learn(of_classes(rows, [*classes["train"], *classes["validation"]]), config)
    return train, validation, rows.select([]), {**learned, CLASSES: classes}


def measured(recipe: Recipe, splits: DatasetDict, classes: Collection[Any]) -> Dataset:
    """The rows of the classes that a model is measured on: of the test split, or of the training rows where there is none."""
    name = recipe.data.test if recipe.data.test in splits else recipe.data.train
    return of_classes(take(recipe.data, splits, name, recipe.task.columns), classes)


def drawn(recipe: Recipe, splits: Mapping[str, Dataset], size: int, parts: int, grouped: bool) -> tuple[Any, Any]:
    """The batches of a training, and what it is evaluated on, as the objective needs them."""
    from hfrecipes.batches import Batches, Episodic, Together
    from hfrecipes.entries import BatchesWithEntries, WithEntries

    rows, seed = splits["train"], recipe.seed
    if recipe.episodes is not None:
        return Episodic(rows, recipe.episodes, seed), BatchesWithEntries(Episodic(splits["validation"], recipe.episodes, seed))
    held = WithEntries(splits["validation"])
    if recipe.objective.together:
        return Together(rows, size, recipe.objective.together, seed), held
    return Batches(rows, rows["length"], size, parts, seed, grouped, recipe.batch_tokens), held


def of_classes(rows: Dataset, classes: Collection[Any]) -> Dataset:
    """The rows with one of these labels."""
    return rows.select([i for i, label in enumerate(rows["label"]) if label in classes])
