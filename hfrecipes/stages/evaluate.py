"""evaluate: the trained PyTorch model on the test split, which is read here and nowhere else."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from datasets import load_from_disk

from hfrecipes import verbalising
from hfrecipes.averaging import ENSEMBLE, MC_DROPOUT, dropout_engine, ensemble_engine
from hfrecipes.checkpoint import load_trained
from hfrecipes.data import open_splits, take
from hfrecipes.errors import RecipeError
from hfrecipes.folder import Run, read_json, sha256, staged, write_json
from hfrecipes.inference.engines import torch_engine
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import Measured, measure, score
from hfrecipes.metrics import scores
from hfrecipes.models import load_model
from hfrecipes.stages import stage, trained
from hfrecipes.stages.splitting import CLASSES, of_classes
from hfrecipes.stages.train import config_for
from hfrecipes.uncertainty import UNFITTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import PreTrainedModel

    from hfrecipes.recipe import Recipe
    from hfrecipes.tasks import Row


@stage(
    blocks=("task", "data", "episodes", "model", "head", "evaluate", "before", "uncertainty", "seed"),
    after=lambda recipe: ("prepare", trained(recipe), "calibrate", *(["ensemble"] if has_ensemble(recipe) else [])),
    outputs=("answers",),
)
def evaluate(recipe: Recipe, run: Run) -> None:
    """Score and time the checkpoint on the test split (on the validation split where there is no other)."""
    facts = read_json(run.data / "facts.json")
    roles = recipe.task.columns
    if facts["test_split"]:
        test = take(recipe.data, open_splits(recipe.data), recipe.data.test, roles)
        if recipe.episodes is not None:  # the other classes are measured in episodes
            classes = facts["learned"][CLASSES]
            test = of_classes(test, [*classes["train"], *classes["validation"]])
    else:
        test = load_from_disk(str(run.data / "validation_rows"))
    rows = [{role: row[role] for role in roles if role in row} for row in test]
    predictor = Predictor.open(run.path, "pytorch")
    predictor.task.examples(rows, predictor.tokens, predictor.config)
    asked = {"pytorch": run.model, **({"trained": run.trained} if recipe.compress else {})}
    split = "test" if facts["test_split"] else "validation"
    note_reading(run)
    with staged(run.answers) as folder:
        write_json(folder / "rows.json", rows)
        if recipe.before:
            write_json(folder / "before.json", before(recipe, run, rows))
            write_json(folder / "baseline.json", baseline(recipe, rows, predictor.config))
        for name, checkpoint in asked.items():
            asker = predictor if checkpoint == run.model else Predictor.around(load_trained(checkpoint), checkpoint)
            found = measure(asker, rows, recipe.metrics(asker.config))
            weights = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
            write_candidate(folder, name, found, {"mb": weights / 1e6, "precision": "float32", "split": split})
            if name == "pytorch":
                megabytes = weights / 1e6
        for name, (asker, models) in averages(recipe, run).items():
            found = measure(asker, rows, recipe.metrics(asker.config))
            write_candidate(folder, name, found, {"mb": models * megabytes, "precision": "float32", "split": split})


def has_ensemble(recipe: Recipe) -> bool:
    """Whether models of other seeds are trained beside the model."""
    return recipe.uncertainty is not None and recipe.uncertainty.ensemble is not None


def averages(recipe: Recipe, run: Run) -> dict[str, tuple[Predictor, int]]:
    """What is measured beside the model, by its name, with the number of models that it asks. Raises RecipeError where answers
    have no probabilities to average."""
    asked = recipe.uncertainty
    if asked is None:
        return {}
    if recipe.task.generates or recipe.task.by_likelihood:
        raise RecipeError(f"{recipe.name}.uncertainty", f"{recipe.task.name} has no probabilities to average", "Leave it out")
    plain = dataclasses.replace(Predictor.open(run.path, "pytorch"), uncertainty=UNFITTED)
    problem, found = plain.config.get("problem_type"), {}
    if asked.mc_dropout is not None:
        engine = dropout_engine(load_trained(run.model), asked.mc_dropout, problem)
        found[MC_DROPOUT] = (dataclasses.replace(plain, engine=engine), 1)
    if asked.ensemble is not None:
        others = [torch_engine(load_trained(run.path / f"ensemble/{i + 1}/model")) for i in range(asked.ensemble)]
        engine = ensemble_engine([plain.engine, *others], problem)
        found[ENSEMBLE] = (dataclasses.replace(plain, engine=engine), 1 + len(others))
    return found


def note_reading(run: Run) -> None:
    """Note in `test_reads.json` for which weights the test split was read, and when: who looks at it often chooses by it."""
    file = run.path / "test_reads.json"
    reads = read_json(file) if file.is_file() else []
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(file, [*reads, {"weights": sha256(run.weights), "time": now}])


def before(recipe: Recipe, run: Run, rows: Sequence[Row]) -> dict[str, float]:
    """The scores of the checkpoint that training started from."""
    predictor = Predictor.around(untrained(recipe, run), run.model)
    return score(predictor, rows, recipe.metrics(predictor.config))[0]


def untrained(recipe: Recipe, run: Run) -> PreTrainedModel:
    """The checkpoint that training started from: its new head as it was drawn, or as the words of a pattern give it."""
    from transformers import set_seed

    set_seed(recipe.seed)
    model = load_model(recipe.model, recipe.task.heads[recipe.family.architecture], config_for(recipe, run))
    verbalising.fill(model, recipe.model, run.data)
    return model


def baseline(recipe: Recipe, rows: Sequence[Row], config: Mapping[str, Any]) -> dict[str, float]:
    """The scores of what needs no model; empty where the task knows nothing of the kind."""
    task = recipe.task
    guesses = task.baseline(rows, config)
    if guesses is None:
        return {}
    metrics = [metric for metric in recipe.metrics(config) if metric.wants == "label"]
    return scores(metrics, {"label": guesses}, [task.reference(row, config) for row in rows])


def write_candidate(folder: Any, name: str, found: Measured, facts: dict[str, Any]) -> None:
    """What was measured about one candidate, and its predictions."""
    kept = {**facts, "scores": found.scores, **found.latency}
    worth = {
        "claims": [[round(sure, 6), so] for sure, so in found.claims],
        "nonconformity": [round(x, 6) for x in found.nonconformity],
    }
    entry = {"name": name, "facts": kept, "predictions": found.predictions, **worth}
    write_json(folder / f"{name.replace('/', '-')}.json", entry)
