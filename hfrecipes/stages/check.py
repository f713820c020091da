"""check: judge what was measured. Raises CheckFailed when the report is written, so that nothing is lost."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hfrecipes.checks import Trial, Verdict
from hfrecipes.errors import CheckFailed
from hfrecipes.folder import Run, opened, read_json, write_json
from hfrecipes.stages import stage

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe


@stage(blocks=("check", "evaluate"), after=("measure",), outputs=("checks.json",))
def check(recipe: Recipe, run: Run) -> None:
    """The verdict of each check of the recipe, to `checks.json`."""
    found = trial(recipe, run)
    if found.served in found.candidates:
        verdicts = [part.judge(found) for part in recipe.check]
    else:
        verdicts = [Verdict("measured", False, "no bundle runs on this machine, so none was measured. Add cpu to `export`")]
    write_json(run.path / "checks.json", [dataclasses.asdict(verdict) for verdict in verdicts])


def trial(recipe: Recipe, run: Run) -> Trial:
    """All candidates as they were measured, and the one that is served."""
    files = [run.answers / "pytorch.json", *sorted((run.path / "measured").glob("*.json"))]
    found = {candidate["name"]: candidate["facts"] for candidate in map(read_json, files)}
    first = read_json(run.bundles / "index.json")["default"]
    metric = recipe.metrics(read_json(run.model / "config.json"))[0]
    return Trial(found, f"{first}/{opened(run.bundles / first)['default']}", metric.figure, metric.lower_is_better)


def refuse(run: Run) -> None:
    """Raise CheckFailed where a verdict of `checks.json` says no."""
    failed = [verdict for verdict in read_json(run.path / "checks.json") if not verdict["passed"]]
    if failed:
        lines = "; ".join(f"{verdict['check']}: {verdict['reason']}" for verdict in failed)
        raise CheckFailed(f"not released. {lines}. The report is {run.path / 'report.md'}")
