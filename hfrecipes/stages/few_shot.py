"""few_shot: the trained model on episodes of classes that no training saw, beside baselines of the checkpoint it started from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hfrecipes.checkpoint import load_trained
from hfrecipes.data import open_splits
from hfrecipes.few_shot import Asked, Result, by_adapting, by_embeddings, by_regression, by_training, drawn, result
from hfrecipes.folder import Run, read_json, sha256, write_json
from hfrecipes.inference.embedding import embeddings
from hfrecipes.inference.predictor import Predictor
from hfrecipes.objectives import Objective
from hfrecipes.stages import log, stage, trained
from hfrecipes.stages.evaluate import note_reading, untrained
from hfrecipes.stages.splitting import CLASSES, measured

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

FILE = "few_shot.json"
FROZEN = "prototypes, frozen"
REGRESSION, TRAINING = "logistic regression, frozen", "full fine-tuning on the support"
"""The names of the baselines."""


@stage(
    blocks=("task", "data", "episodes", "model", "head", "objective", "seed"),
    after=lambda recipe: ("prepare", trained(recipe)),
    outputs=(FILE,),
)
def few_shot(recipe: Recipe, run: Run) -> None:
    """Measure episodes of the classes that were kept back: the mean accuracy and its 95 % interval, to `few_shot.json`."""
    assert recipe.episodes is not None
    classes = read_json(run.data / "facts.json")["learned"][CLASSES]["test"]
    rows = measured(recipe, open_splits(recipe.data), classes)
    note_reading(run)
    results = compare(recipe, run, rows["text"], rows["label"])
    for each in results:
        log.info("%s: %s", each.method, each)
    asked = {name: getattr(recipe.episodes, name) for name in ("ways", "shots", "queries")}
    write_json(run.path / FILE, {**asked, "classes": classes, "results": [dataclasses.asdict(each) for each in results]})


def compare(recipe: Recipe, run: Run, texts: list[str], labels: list[str]) -> list[Result]:
    """The trained model, and what the checkpoint does without it, over the same episodes."""
    episodes = recipe.episodes
    assert episodes is not None
    tasks = list(drawn(labels, texts, episodes, recipe.seed))
    rows = [recipe.task.row(text) for text in texts]
    start, model = untrained(recipe, run), load_trained(run.model)
    before, after = (Predictor.around(each, run.model) for each in (start, model))
    frozen = embeddings(before, texts, recipe.model.fingerprint())
    if type(recipe.objective).adapted is Objective.adapted:
        answer = by_embeddings(recipe.objective, embeddings(after, texts, sha256(run.weights)))
    else:
        answer = by_adapting(recipe.objective, Asked(after, model, rows, episodes))
    return [
        result(recipe.objective.name, answer, tasks),
        result(FROZEN, by_embeddings(Objective.choose("prototypes"), frozen), tasks),
        result(REGRESSION, by_regression(frozen), tasks),
        result(TRAINING, by_training(Asked(before, start, rows, episodes)), tasks),
    ]
