"""few_shot: the trained model on episodes of classes that no training saw, beside baselines of the checkpoint it started from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hfrecipes.checkpoint import load_trained
from hfrecipes.data import open_splits
from hfrecipes.episodes import Draw
from hfrecipes.few_shot import Answer, Asked, Result, by_adapting, by_embeddings, by_regression, by_training, result
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
    assert recipe.episodes is not None
    tasks = list(Draw(labels, recipe.episodes, texts).many(recipe.episodes.measured, recipe.seed))
    mine, others = trained_answer(recipe, run, texts), baselines(recipe, run, texts)
    return [result(name, answer, tasks) for name, answer in {recipe.objective.name: mine, **others}.items()]


def trained_answer(recipe: Recipe, run: Run, texts: list[str]) -> Answer:
    """What the trained model says of an episode of these texts."""
    assert recipe.episodes is not None
    model = load_trained(run.model)
    predictor = Predictor.around(model, run.model)
    if type(recipe.objective).adapted is Objective.adapted:
        return by_embeddings(recipe.objective, embeddings(predictor, texts, sha256(run.weights)))
    return by_adapting(recipe.objective, Asked(predictor, model, [recipe.task.row(text) for text in texts], recipe.episodes))


def baselines(recipe: Recipe, run: Run, texts: list[str]) -> dict[str, Answer]:
    """What the checkpoint that training started from says: by its embeddings as they are, and trained on each support."""
    assert recipe.episodes is not None
    model = untrained(recipe, run)
    predictor = Predictor.around(model, run.model)
    frozen = embeddings(predictor, texts, recipe.model.fingerprint())
    return {
        FROZEN: by_embeddings(Objective.choose("prototypes"), frozen),
        REGRESSION: by_regression(frozen),
        TRAINING: by_training(Asked(predictor, model, [recipe.task.row(text) for text in texts], recipe.episodes)),
    }
