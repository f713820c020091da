"""cross_validate: models of parts of the training rows answer the rest, so that every row is answered by one that did not see
it."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset, concatenate_datasets, load_from_disk

from hfrecipes import distributed
from hfrecipes.data import Data, few, open_splits, take
from hfrecipes.folder import Run, read_json, write_json
from hfrecipes.folds import Validate
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import answered, scored
from hfrecipes.stages import log, stage
from hfrecipes.stages.ensemble import TRAINED, train_beside
from hfrecipes.traffic import text_of
from hfrecipes.uncertainty import calibration_error, judged

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

FILE = "folds.json"


@stage(
    blocks=(*TRAINED, "validate"),
    after=("prepare",),
    outputs=(FILE,),
    everywhere=True,
)
def cross_validate(recipe: Recipe, run: Run) -> None:
    """Train a model a fold, and write to `folds.json` the scores of each with mean and standard deviation, and every row with its
    answer out of fold."""
    assert recipe.validate is not None
    found: list[dict[str, Any]] = []
    for number, (learn, held) in enumerate(distributed.on_main(lambda: _cut(recipe, run))):
        log.info("fold %d: %d rows to learn from, %d to answer", number + 1, len(learn), len(held))
        part = distributed.on_main(lambda: _part(recipe, run, number, learn, held))  # noqa: B023
        fold = train_beside(part, run, f"folds/{number + 1}")
        found.append(distributed.on_main(lambda: _answered(part, fold, held)))  # noqa: B023
    distributed.on_main(lambda: _write(run, found))


def _all_rows(recipe: Recipe, beside: list[str], by: str | None) -> Dataset:
    """The rows of training and validation; where `labelled` leaves most without a label, those that have one."""
    splits, roles = open_splits(recipe.data), recipe.task.columns
    names = [name for name in (recipe.data.train, recipe.data.validation) if name in splits]
    rows = concatenate_datasets([take(recipe.data, splits, name, roles, beside) for name in names])
    return rows if recipe.data.labelled is None else few(rows, recipe.data.labelled, recipe.seed, by)[0]


def _cut(recipe: Recipe, run: Run) -> list[tuple[list[int], list[int]]]:
    """The positions of each fold's rows, the rows themselves written to `folds/rows`."""
    asked: Validate = recipe.validate  # type: ignore[assignment]
    beside = [name for name in (asked.group, asked.time) if name]
    by = recipe.task.stratify(read_json(run.data / "facts.json")["learned"])
    rows = _all_rows(recipe, beside, by)
    columns = [rows[name] if name else None for name in (by, asked.group, asked.time)]
    folder = run.path / "folds/rows"
    shutil.rmtree(folder, ignore_errors=True)
    rows.select_columns([role for role in recipe.task.columns if role in rows.column_names]).save_to_disk(folder)
    return asked.cut(columns[0], columns[1], columns[2], len(rows), recipe.seed)


def _part(recipe: Recipe, run: Run, number: int, learn: list[int], held: list[int]) -> Recipe:
    """The recipe of a fold, with its rows as files: it cuts its own validation rows off those that it learns from."""
    rows = load_from_disk(str(run.path / "folds/rows"))
    folder = run.path / f"folds/rows_{number + 1}"
    folder.mkdir(exist_ok=True)
    rows.select(learn).to_parquet(folder / "train.parquet")
    rows.select(held).to_parquet(folder / "test.parquet")
    teacher = recipe.data.teacher if recipe.data.labelled is None else None
    data = Data(path=str(folder), validation_size=recipe.data.validation_size, teacher=teacher)
    return dataclasses.replace(recipe, data=data, validate=None, uncertainty=None, export=(), check=(), before=False)


def _answered(recipe: Recipe, fold: Run, held: list[int]) -> dict[str, Any]:
    """The scores of a fold's model on the rows of its fold, and what it said to each."""
    rows = list(take(recipe.data, open_splits(recipe.data), "test", recipe.task.columns))
    predictor = Predictor.open(fold.path, "pytorch")
    task, config = predictor.task, predictor.config
    answers = answered(predictor, rows)
    reached, predictions = scored(predictor, rows, recipe.metrics(config), answers)
    said = [
        {
            "row": number,
            "text": text_of(row, task.columns),
            "prediction": prediction,
            "reference": task.reference(row, config),
        }
        for number, row, prediction in zip(held, rows, predictions, strict=True)
    ]
    if config.get("problem_type") == "single_label_classification":
        said = [{**each, "scores": task.form(answer, config, "scores")} for each, answer in zip(said, answers, strict=True)]
    return {
        "scores": reached,
        "rows": len(rows),
        "claims": judged(predictor, rows, answers)[0],
        "answers": said if answers else [],
    }


def _write(run: Run, found: list[dict[str, Any]]) -> None:
    names = found[0]["scores"]
    figures = {name: [fold["scores"][name] for fold in found] for name in names}
    claims = [claim for fold in found for claim in fold["claims"]]
    values = {
        "folds": [{"rows": fold["rows"], "scores": fold["scores"]} for fold in found],
        "mean": {name: statistics.fmean(each) for name, each in figures.items()},
        "sd": {name: statistics.stdev(each) for name, each in figures.items()},
        "calibration_error": calibration_error(claims),
        "out_of_fold": [answer for fold in found for answer in fold["answers"]],
    }
    write_json(run.path / FILE, values)
    for left in Path(run.path / "folds").iterdir():  # the answers stay, the models and the rows have done their part
        shutil.rmtree(left)
    (run.path / "folds").rmdir()
