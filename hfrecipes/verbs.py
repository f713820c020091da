"""Verbs: fit, ship and run, the order of the stages. State lives in the run folder: each can be stopped and repeated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hfrecipes import distributed
from hfrecipes.config import to_yaml
from hfrecipes.errors import RecipeError
from hfrecipes.folder import Run
from hfrecipes.locking import alone
from hfrecipes.recipe import Recipe

if TYPE_CHECKING:
    from hfrecipes.report import Report


def begin(recipe: Recipe, out: str | Path) -> Run:
    """Check a recipe, and prepare its rows in the run folder `out`: what every training starts from."""
    import torch

    from hfrecipes.arguments import check_arguments
    from hfrecipes.sharding import check_shards
    from hfrecipes.stages.prepare import prepare
    from hfrecipes.stages.train import head_for
    from hfrecipes.tracking import check_trackers

    check_shards(os.environ, torch.accelerator.is_available())
    head_for(recipe)
    check_arguments(recipe)
    check_trackers(recipe)
    run = distributed.on_main(lambda: Run.create(out, identity(recipe), to_yaml(recipe.dump())))
    prepare(recipe, run)
    return run


def learn(recipe: Recipe, out: str | Path) -> Run:
    """Train a recipe in the run folder `out`, and compress what was trained; stages whose inputs have not changed are skipped."""
    from hfrecipes.stages.compress import compress
    from hfrecipes.stages.prepare import resolve
    from hfrecipes.stages.train import train

    with alone(out):
        run = begin(recipe, out)
        distributed.on_main(lambda: resolve(recipe, run))
        train(recipe, run)
        if recipe.compress:
            compress(recipe, run)
    return run


def fit(recipe: Recipe, out: str | Path) -> Run:
    """Train and evaluate a recipe in the run folder `out`; stages whose inputs have not changed are skipped."""
    from hfrecipes.stages.calibrate import calibrate
    from hfrecipes.stages.card import card
    from hfrecipes.stages.cross_validate import cross_validate
    from hfrecipes.stages.ensemble import ensemble
    from hfrecipes.stages.evaluate import evaluate, has_ensemble
    from hfrecipes.stages.few_shot import few_shot
    from hfrecipes.stages.report import report
    from hfrecipes.tracking import track

    with alone(out):
        run = learn(recipe, out)
        calibrate(recipe, run)
        if has_ensemble(recipe):
            ensemble(recipe, run)
        evaluate(recipe, run)
        if recipe.episodes is not None:
            few_shot(recipe, run)
        if recipe.validate is not None:
            cross_validate(recipe, run)
        report(recipe, run)
        track(recipe, run)
        card(recipe, run)
    return run


def ship(run: Run, waive: Mapping[str, str] = MappingProxyType({}), key: Path | None = None, again: bool = False) -> Report:
    """Export, measure and check a finished fit, and publish it where the recipe says so. Raises CheckFailed where a check refuses
    that `waive` gives no reason for; report and card are written first. With a private `key` the checklist is signed. What was
    measured before is measured `again` on request, say where the machine had other work."""
    from hfrecipes.report import Report
    from hfrecipes.stages.publish import publish

    with alone(run.path):
        for stage in ("measure", "check") if again else ():
            (run.path / f"stages/{stage}.json").unlink(missing_ok=True)
        recipe = examine(run, waive, key)
        if recipe.publish is not None:
            publish(recipe, run)
    return Report.load(run.path)


def examine(run: Run, waive: Mapping[str, str] = MappingProxyType({}), key: Path | None = None) -> Recipe:
    """What `ship` does before it publishes; gives the recipe of the run."""
    from hfrecipes.stages.card import card
    from hfrecipes.stages.check import check, refuse, waivers
    from hfrecipes.stages.export import export
    from hfrecipes.stages.measure import measure
    from hfrecipes.stages.report import report
    from hfrecipes.tracking import track
    from hfrecipes.verification import bind

    recipe = Recipe.load(run.recipe_file)
    if not recipe.export:
        raise RecipeError(f"{recipe.name}.export", "names no target, so there is nothing to ship", "Write `export: [cpu]`")
    waived = waivers(recipe, waive)
    export(recipe, run)
    measure(recipe, run)
    check(recipe, run)
    report(recipe, run, waived)
    track(recipe, run)
    card(recipe, run)
    refuse(run, waived)
    distributed.on_main(lambda: bind(recipe, run, waived, key))
    return recipe


def run(recipe: Recipe, out: str | Path) -> Report:
    """`fit`, then `ship`. What `ship` will refuse, whatever is trained, is said before."""
    from hfrecipes.stages import log
    from hfrecipes.stages.check import foreseen

    def warn() -> None:
        for line in foreseen(recipe):
            log.warning("the release will be refused. %s", line)

    with alone(out):
        distributed.on_main(warn)
        return ship(fit(recipe, out))


def identity(recipe: Recipe) -> dict[str, str]:
    """What makes two recipes the same one, so that they may share a run folder."""
    return {"recipe": recipe.name, "task": recipe.task.name, "data": recipe.data.path, "model": recipe.model.label}
