"""ensemble: models of the same recipe and other seeds, which are asked together."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

from hfrecipes import distributed
from hfrecipes.config import to_yaml
from hfrecipes.folder import Run
from hfrecipes.stages import log, stage
from hfrecipes.stages.compress import compress
from hfrecipes.stages.prepare import prepare
from hfrecipes.stages.train import train

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

TRAINED = (
    *("task", "data", "model", "tokenizer", "head", "strategy", "optimizer", "schedule", "objective", "train", "compress"),
    *("evaluate", "batch_tokens", "early_stopping", "seed"),
)
"""What another training of the same recipe reads."""


@stage(blocks=(*TRAINED, "uncertainty"), after=("prepare",), outputs=("ensemble",), everywhere=True)
def ensemble(recipe: Recipe, run: Run) -> None:
    """Train the models of an ensemble beside the model, each with a seed of its own and with its own validation rows."""
    assert recipe.uncertainty is not None
    for number in range(1, 1 + (recipe.uncertainty.ensemble or 0)):
        log.info("ensemble: seed %d", recipe.seed + number)
        other = dataclasses.replace(recipe, seed=recipe.seed + number, export=(), check=(), validate=None, uncertainty=None)
        train_beside(other, run, f"ensemble/{number}")


def train_beside(recipe: Recipe, run: Run, place: str) -> Run:
    """A training of its own in a folder of a run, of which the model alone is kept."""
    identity = {"beside": place}
    beside = distributed.on_main(lambda: Run.create(run.path / place, identity, to_yaml(recipe.dump())))
    prepare(recipe, beside)
    train(recipe, beside)
    if recipe.compress:
        compress(recipe, beside)
    distributed.on_main(lambda: shutil.rmtree(beside.data))
    return beside
