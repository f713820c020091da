"""Rows: the labelled new ones, cut into what is learned from and what judges, and put together with those of the champion."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.alarms import WINDOWS
from hfrecipes.data import asked_rows, cut, fingerprint, open_splits, take
from hfrecipes.duplicates import plain
from hfrecipes.errors import DataError, RecipeError
from hfrecipes.folder import Run, staged
from hfrecipes.models import load_config
from hfrecipes.recipe import Recipe
from hfrecipes.stages.prepare import check_fingerprint, parts
from hfrecipes.traffic import text_of

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.data import Data
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.tasks import Task

FEWEST = WINDOWS[0]
"""Rows below which a judging window says nothing."""
SOURCE, JUDGED, WINDOW, BEFORE = "source", "judged", "window", "before"
"""Folders of a candidate: the rows of its splits, and the rows that judge it: new ones, and the test rows of the champion."""


def known(run: Run) -> dict[str, Dataset]:
    """The rows of training and validation of a run, and of its test split where it has one. New rows that judged the run are
    among those that test its successors.

    Raises DataError where the source has changed since.
    """
    from datasets import concatenate_datasets, load_from_disk

    recipe = Recipe.load(run.recipe_file)
    data, roles = recipe.data, recipe.task.columns
    beside = [name for name in (recipe.validate.group, recipe.validate.time) if name] if recipe.validate else []
    splits = open_splits(data)
    train, validation, rest, _ = parts(recipe, splits, load_config(recipe.model).to_dict(), beside)
    if len(rest) and (recipe.objective.reads_unlabelled or data.teacher):
        raise RecipeError(
            f"{recipe.name}.data.labelled", "retraining learns from labelled rows alone", "Label them, or leave it out"
        )
    if data.teacher is None:
        plain_rows = [rows.select_columns([role for role in roles if role in rows.column_names]) for rows in (train, validation)]
        check_fingerprint(recipe, fingerprint(*plain_rows))
    found = {"train": train, "validation": validation}
    if data.test in splits:
        found["test"] = take(data, splits, data.test, roles)
    if (run.path / JUDGED).is_dir():
        name = "test" if "test" in found else "validation"
        found[name] = concatenate_datasets([found[name], load_from_disk(str(run.path / JUDGED / WINDOW))])
    return found


def labelled(data: Data, predictor: Predictor, like: Dataset) -> Dataset:
    """The new rows that have a label, with the columns and types of the old ones. Raises DataError where there is no column of
    labels, no label, or one that the model does not know."""
    from datasets import DatasetDict

    task, rows = predictor.task, asked_rows(data)
    column = data.columns.get(task.label_column, task.label_column)
    if task.label_column and column in rows.column_names:
        rows = rows.select([i for i, label in enumerate(rows[column]) if label is not None])
        if not len(rows):
            raise DataError(data.path, "no row has a label", f"Fill the column '{column}'")
    found = _alike(take(data, DatasetDict({data.train: rows}), data.train, task.columns), like, data.path)
    try:
        task.examples(list(found), predictor.tokens, predictor.config)
    except DataError as error:
        raise DataError(data.path, error.what, "Take such rows out, or fit a recipe anew on rows that have them") from None
    return found


def unseen(rows: Dataset, others: Iterable[Dataset], task: Task) -> Dataset:
    """The rows that are in none of the others."""
    seen = {_key(row, task) for each in others for row in each}
    return rows.select([i for i, row in enumerate(rows) if _key(row, task) not in seen])


def divided(rows: Dataset, recipe: Recipe, config: Mapping[str, Any], share: float, where: str) -> tuple[Dataset, Dataset]:
    """New rows to learn from, and a share of them to judge by, the same each time. No text is in both. Raises DataError where
    there are too few."""
    task = recipe.task
    enough = math.ceil(FEWEST / min(share, 1 - share))
    learn, window = cut(rows, share, recipe.seed, task.stratify(config)) if len(rows) > 1 else (rows, rows.select([]))
    held = {plain(text_of(row, task.columns)) for row in window}
    learn = learn.select([i for i, row in enumerate(learn) if plain(text_of(row, task.columns)) not in held])
    if min(len(learn), len(window)) < FEWEST:
        what = f"{len(rows)} labelled rows that are new leave {len(learn)} to learn from and {len(window)} to judge by"
        raise DataError(where, f"{what}, and {FEWEST} of each are needed", f"Give {enough} or more")
    return learn, window


def lay_out(folder: Path, old: Mapping[str, Dataset], learn: Dataset, window: Dataset, recipe: Recipe, by: str | None) -> None:
    """Write what a candidate learns from, is tested on, and is judged by. Validation gets its share of the new rows, too, so that
    what is calibrated and watched for on it is how the world is now."""
    from datasets import concatenate_datasets

    share = len(old["validation"]) / (len(old["validation"]) + len(old["train"]))
    more, held = cut(learn, share, recipe.seed, by)
    splits = {**old}
    for name, rows in {"train": more, "validation": held}.items():
        splits[name] = concatenate_datasets([old[name], _alike(rows, old[name], name)])
    with staged(folder / SOURCE) as place:
        for name, rows in splits.items():
            rows.to_parquet(place / f"{name}.parquet")
    with staged(folder / JUDGED) as place:
        window.save_to_disk(place / WINDOW)
        old.get("test", old["validation"]).save_to_disk(place / BEFORE)


def texts(data: Data, window: Dataset, task: Task) -> list[str]:
    """All new texts, labelled or not, but those that judge."""
    names = {data.columns.get(role, role): role for role in task.columns}
    rows = asked_rows(data)
    named = rows.select_columns([name for name in rows.column_names if name in names])
    held = {plain(text_of(row, task.columns)) for row in window}
    found = (text_of({names[name]: entry for name, entry in row.items()}, task.columns) for row in named)
    return [text for text in dict.fromkeys(found) if text and plain(text) not in held]


def _alike(rows: Dataset, like: Dataset, where: str) -> Dataset:
    """The rows with the columns and types of others; a column that they lack is empty."""
    lacking = [name for name in like.column_names if name not in rows.column_names]
    for name in lacking:
        rows = rows.add_column(name, [None] * len(rows))
    try:
        return rows.select_columns(like.column_names).cast(like.features)
    except (ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise DataError(where, f"cannot be put with the old rows: {first}", "Give columns of the same types") from None


def _key(row: Mapping[str, Any], task: Task) -> str:
    entries = {role: row[role] for role in task.columns if row.get(role) is not None}
    return json.dumps({role: plain(e) if isinstance(e, str) else e for role, e in entries.items()}, sort_keys=True, default=str)
