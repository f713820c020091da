"""Candidate: a run folder beside the champion's, the recipe in it, and what it gains on the champion."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from datasets import load_from_disk

from hfrecipes import verbs
from hfrecipes.audit import Record
from hfrecipes.bootstrap import Difference, difference
from hfrecipes.card import FILE as CARD
from hfrecipes.config import to_yaml
from hfrecipes.data import Data
from hfrecipes.errors import RecipeError
from hfrecipes.folder import Run, write_text
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import score
from hfrecipes.models import Model
from hfrecipes.recipe import Recipe
from hfrecipes.retraining.champion import Champion
from hfrecipes.retraining.rows import BEFORE, JUDGED, SOURCE, WINDOW
from hfrecipes.stages import seconds
from hfrecipes.strategies import Strategy
from hfrecipes.tasks import Task
from hfrecipes.upkeep import ALL, DOMAIN, Retrain

BODY, TEXTS = "domain", "texts.jsonl"
"""The run that gets the body used to the new texts, in the candidate's folder, and those texts."""
FACTS = "retrain.json"
"""The file of a candidate that says what it was made of, and in the end what was decided about it."""


def fresh_name(run: Run, records: Sequence[Record]) -> str:
    """A name for a candidate that no folder beside the run has, and no other candidate had: the run's with _r2, _r3 …"""
    form = re.compile(rf"{re.escape(run.path.name)}_r(\d+)")
    names = [*(each.name for each in run.path.parent.iterdir()), *(str(record.get("candidate", "")) for record in records)]
    taken = [int(match[1]) for name in names if (match := form.fullmatch(name))]
    return f"{run.path.name}_r{max(taken, default=1) + 1}"


def adapted(recipe: Recipe, how: Retrain, champion: Champion, folder: Path) -> Recipe:
    """The recipe of the candidate in a folder: the same on the rows laid out there, `adapt` saying from which weights."""
    data = Data(str(folder / SOURCE), drop_leaks=recipe.data.drop_leaks, teacher=recipe.data.teacher)
    again = dataclasses.replace(recipe, data=data)
    if how.adapt == ALL:
        return again
    if how.adapt == DOMAIN:
        return dataclasses.replace(again, model=_started(recipe, folder / BODY), tokenizer=None)
    start, strategy = _started(recipe, _weights(champion)), Strategy.choose("feature_extraction")
    return dataclasses.replace(again, model=start, tokenizer=None, strategy=strategy)


def body(recipe: Recipe, champion: Champion, folder: Path) -> Recipe:
    """The recipe that gets the champion's body used to the texts laid out in a folder. Raises RecipeError where its architecture
    reads no masked words."""
    task: Task = Task.choose("fill-mask")
    if recipe.family.architecture not in task.heads:
        what = f"{recipe.family.name} is not trained by masked words"
        raise RecipeError(f"{recipe.name}.retrain.adapt", what, "Write all or head")
    kept = {name: getattr(recipe, name) for name in ("optimizer", "schedule", "train", "fast_path", "batch_tokens", "seed")}
    return type(recipe)(task=task, data=Data(str(folder / TEXTS)), model=_started(recipe, _weights(champion)), check=(), **kept)


def begin(recipe: Recipe, champion: Champion, folder: Path) -> None:
    """Make the candidate's run folder, with what people wrote into the champion's card."""
    if folder.is_dir() and not Run(folder).recipe_file.is_file():  # a process was killed while it made it
        shutil.rmtree(folder)
    run = Run.create(folder, verbs.identity(recipe), to_yaml(recipe.dump()))
    if (champion.run.path / CARD).is_file() and not (run.path / CARD).is_file():
        shutil.copyfile(champion.run.path / CARD, run.path / CARD)


def train(recipe: Recipe, own: Recipe, how: Retrain, champion: Champion, folder: Path) -> Run:
    """Train the candidate of a recipe by `own`, its own one, and put it through its checks; what is done already is skipped.
    Raises CheckFailed where one refuses."""
    if how.adapt == DOMAIN:
        verbs.learn(body(recipe, champion, folder), folder / BODY)
    run = verbs.fit(own, folder)
    verbs.examine(run)
    return run


def minutes(folder: Path) -> float:
    """What the stages of a candidate took."""
    runs = [Run(each) for each in (folder, folder / BODY) if (each / "stages").is_dir()]
    return round(sum(sum(seconds(run).values()) for run in runs) / 60, 2)


def gains(recipe: Recipe, champion: Champion, run: Run) -> dict[str, Difference]:
    """What the candidate gains on the champion, both as they are served: on the new rows that judge, as `window`, and on the old
    test rows, as `before`."""
    old, new = Predictor.open(champion.folder), Predictor.open(run.path)
    metric = next((each for each in recipe.metrics(new.config) if each.wants == "label"), None)
    if metric is None:
        raise RecipeError(f"{recipe.name}.evaluate", "no metric reads answers, so none can be compared", "Add accuracy")
    found = {}
    for name in (WINDOW, BEFORE):
        loaded = load_from_disk(str(run.path / JUDGED / name))
        rows = [{role: row[role] for role in new.task.columns if role in row} for row in loaded]
        references = [new.task.reference(row, new.config) for row in rows]
        before, after = (score(each, rows, [metric])[1] for each in (old, new))
        found[name] = difference(metric, before, after, references)
    return found


def verdict(found: dict[str, Difference], how: Retrain) -> tuple[bool, str]:
    """Whether a candidate is better than the champion, and why."""
    window, before = found[WINDOW], found[BEFORE]
    if not window.better:
        return False, f"not better for certain on the new rows: {window}"
    if before.worse(how.max_drop):
        return False, f"worse on the old test rows: {before}; at most {how.max_drop} may be lost"
    return True, f"better on the new rows: {window}; on the old test rows {before}"


def write_texts(folder: Path, texts: Sequence[str]) -> None:
    """Lay out the texts that the body gets used to."""
    write_text(folder / TEXTS, "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))


def _weights(champion: Champion) -> Path:
    """The folder of the champion's checkpoint, before it was made smaller where it was."""
    return champion.run.trained if champion.run.trained.is_dir() else champion.run.model


def _started(recipe: Recipe, path: Path) -> Model:
    """The model that starts from the checkpoint in a folder, under the recipe's own configuration."""
    return Model(str(path), pad_token=recipe.model.pad_token, config=recipe.model.config)
