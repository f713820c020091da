"""Champion: the model in production, and the run that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hfrecipes.audit import PROMOTED, Record
from hfrecipes.errors import ModelError, RunError
from hfrecipes.folder import Run, read_json, sha256
from hfrecipes.recipe import Recipe

if TYPE_CHECKING:
    from hfrecipes.destination import Publish
    from hfrecipes.releases import Release


@dataclass(frozen=True)
class Champion:
    """The model in production: its `release` ("" where the recipe names no place for releases), the `folder` that answers, the
    `run` that it was trained in, and the sha256 of what is answered with."""

    release: str
    folder: Path
    run: Run
    fingerprint: str

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.release or self.run.path.name


def champion(run: Run, recipe: Recipe, records: Sequence[Record]) -> Champion:
    """The release that is in production where the recipe publishes; elsewhere the candidate that was promoted last, or the run.

    Raises ModelError where nothing is in production, and RunError where the run that it was trained in is not beside `run`.
    """
    if recipe.publish is None:
        last = next((record["candidate"] for record in reversed(records) if record["event"] == PROMOTED), None)
        found = run if last is None else Run.open(beside(run, last))
        if not found.weights.is_file():
            raise RunError(str(found.path), "has no model", "Run it first: hfrecipes run")
        return Champion("", found.path, found, sha256(found.weights))
    production = in_production(recipe.publish)
    folder = recipe.publish.releases().folder(production.name)
    return Champion(production.name, folder, origin(run, folder, production.name), production.fingerprint)


def in_production(place: Publish) -> Release:
    """The release in production in a place. Raises ModelError where there is none."""
    if (found := place.production()) is None:
        where = place.registry or place.where
        raise ModelError(where, "no release is in production yet", f"Write: hfrecipes promote {where} NAME")
    return found


def home(run: Run, recipe: Recipe) -> Path:
    """The folder of the token and the log: in the registry, or in the run where there is none."""
    if recipe.publish is not None:
        in_production(recipe.publish)
    place = Path(recipe.publish.registry).expanduser() if recipe.publish and recipe.publish.registry else run.path
    return place / "retrain"


def origin(run: Run, release: Path, name: str) -> Run:
    """The run, of `run` and those beside it, that has the weights of a release."""
    weights = sha256(release / "model.safetensors") if (release / "model.safetensors").is_file() else ""
    named = read_json(release / "manifest.json").get("run", "")
    for path in (run.path, beside(run, named)) if weights and named else ():
        found = Run(path)
        if found.recipe_file.is_file() and found.weights.is_file() and sha256(found.weights) == weights:
            return found
    raise RunError(
        str(run.path), f"{name} was not trained here, nor in {named or 'a run'} beside it", "Give the run that it was trained in"
    )


def beside(run: Run, name: str) -> Path:
    """A folder beside that of a run, under its own name."""
    return run.path.parent / Path(name).name
