"""check: gather evidence, and judge what was measured. Raises CheckFailed when the report is written, so that nothing is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.card import FILE, LIMITS, section
from hfrecipes.checks import CHECKLIST, Case, Trial, Verdict
from hfrecipes.errors import CheckFailed, UserError
from hfrecipes.folder import Run, opened, read_json, staged, write_json
from hfrecipes.inference.predictor import Predictor
from hfrecipes.stages import log, stage
from hfrecipes.value import hint

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe


@stage(
    blocks=("check", "evaluate", "validate", "card", "publish"),
    after=lambda recipe: ("measure", *(["cross_validate"] if recipe.validate else [])),
    outputs=("checks.json", "evidence"),
    source=lambda recipe, run: [limits(run), in_production(recipe)],
)
def check(recipe: Recipe, run: Run) -> None:
    """The evidence of each check of the recipe, to `evidence/`, and its verdict, to `checks.json`."""
    found = trial(recipe, run)
    with staged(run.path / "evidence") as folder:
        (folder / "texts").mkdir()
        if found.served in found.candidates:
            shown = dataclasses.replace(found, evidence=gathered(recipe, case(recipe, run, found.served), folder))
            verdicts = [part.judge(shown) for part in recipe.checks]
        else:
            what = "no bundle runs on this machine, so none was measured. Add cpu to `export`"
            verdicts = [Verdict("measured", False, what)]
    write_json(run.path / "checks.json", [dataclasses.asdict(verdict) for verdict in verdicts])


def foreseen(recipe: Recipe) -> list[str]:
    """What will refuse the release whatever is trained, as far as the recipe says, a line each."""
    if not recipe.export:
        return []
    found = [f"{part.name}: {why}" for part in recipe.checks if (why := part.foreseen(recipe))]
    if recipe.publish is not None:
        stops = (unshown([part.name for part in recipe.checks]), recipe.publish.lacking())
        found += [f"publish: {why}" for why in stops if why]
    return found


def unshown(names: Collection[str]) -> str:
    """What is wrong with these checks for who wants to publish; empty where nothing is."""
    missing = [name for name in CHECKLIST if name not in names]
    what = f"the checklist does not show {', '.join(missing)}: name them in `check`, or leave it out"
    return what if missing else ""


def gathered(recipe: Recipe, seen: Case, folder: Path) -> dict[str, Any]:
    """The evidence of each check by its name, written to `folder`; texts of the data below `texts/`, which stays in the run."""
    evidence = {}
    for part in recipe.checks:
        log.info("check: %s", part.name)
        evidence[part.name] = found = part.gather(seen)
        name = f"{part.name.rpartition('/')[2].removesuffix('.py')}.json"
        if found:
            write_json(folder / name, {key: entry for key, entry in found.items() if key not in part.texts})
            write_json(folder / "texts" / name, {key: entry for key, entry in found.items() if key in part.texts})
    return evidence


def in_production(recipe: Recipe) -> str:
    """The name of the release that this one is held against; empty where there is none."""
    found = recipe.publish.production() if recipe.publish else None
    return found.name if found else ""


def limits(run: Run) -> str:
    """What people wrote about the limits of the model into the card of the run."""
    file = run.path / FILE
    return section(file.read_text("utf-8"), LIMITS) if file.is_file() else ""


def case(recipe: Recipe, run: Run, served: str) -> Case:
    """What the checks may look at."""
    rows = read_json(run.answers / "rows.json")
    measured = read_json(run.path / f"measured/{served.replace('/', '-')}.json")
    return Case(recipe, run, served, Predictor.open(run.path, served), rows, measured)


def trial(recipe: Recipe, run: Run) -> Trial:
    """All candidates as they were measured, and the one that is served."""
    files = [run.answers / "pytorch.json", *sorted((run.path / "measured").glob("*.json"))]
    found = {candidate["name"]: candidate["facts"] for candidate in map(read_json, files)}
    first = read_json(run.bundles / "index.json")["default"]
    metric = recipe.metrics(read_json(run.model / "config.json"))[0]
    served = f"{first}/{opened(run.bundles / first)['default']}"
    return Trial(found, served, metric.figure, metric.lower_is_better)


def waivers(recipe: Recipe, given: Mapping[str, str]) -> dict[str, str]:
    """The reasons for which checks are waived, by the check's name. Raises UserError where there is no such check or no
    reason."""
    names = [part.name for part in recipe.checks]
    for name, reason in given.items():
        if name not in names:
            raise UserError("--waive", f"there is no check '{name}' in this recipe", hint(name, names))
        if not reason.strip():
            raise UserError("--waive", f"{name} is waived without a reason", f'Write {name}="why it does not matter here"')
    return dict(given)


def refuse(run: Run, waived: Mapping[str, str]) -> None:
    """Raise CheckFailed where a verdict of `checks.json` says no and is not waived."""
    failed = [v for v in read_json(run.path / "checks.json") if not v["passed"] and v["check"] not in waived]
    if failed:
        lines = "; ".join(f"{verdict['check']}: {verdict['reason']}" for verdict in failed)
        raise CheckFailed(f"not released. {lines}. The report is {run.path / 'report.md'}")
