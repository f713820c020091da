"""evaluate: the trained PyTorch model on the test split, which is read here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasets import load_from_disk

from hfrecipes.data import open_splits, take
from hfrecipes.folder import Run, read_json, staged, write_json
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import Measured, measure
from hfrecipes.stages import stage

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe


@stage(blocks=("task", "data", "evaluate"), after=("prepare", "train"), outputs=("answers",))
def evaluate(recipe: Recipe, run: Run) -> None:
    """Score and time the checkpoint on the test split (on the validation split where there is no other)."""
    facts = read_json(run.data / "facts.json")
    roles = recipe.task.columns
    if facts["test_split"]:
        test = take(recipe.data, open_splits(recipe.data), recipe.data.test, roles)
    else:
        test = load_from_disk(str(run.data / "validation_rows"))
    rows = [{role: row[role] for role in roles if role in row} for row in test]
    predictor = Predictor.open(run.path, "pytorch")
    predictor.task.examples(rows, predictor.tokens, predictor.config)
    found = measure(predictor, rows, recipe.metrics(predictor.config))
    weights = sum(file.stat().st_size for file in run.model.glob("*.safetensors"))
    with staged(run.answers) as folder:
        write_json(folder / "rows.json", rows)
        write_candidate(
            folder,
            "pytorch",
            found,
            {"mb": weights / 1e6, "precision": "float32", "split": "test" if facts["test_split"] else "validation"},
        )


def write_candidate(folder: Any, name: str, found: Measured, facts: dict[str, Any]) -> None:
    """What was measured about one candidate, and its predictions."""
    kept = {**facts, "scores": found.scores, **found.latency}
    write_json(folder / f"{name.replace('/', '-')}.json", {"name": name, "facts": kept, "predictions": found.predictions})
