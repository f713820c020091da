"""publish: a run that may be released, put together and added to the releases of its place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hfrecipes import distributed
from hfrecipes.apart import assemble_apart
from hfrecipes.errors import CheckFailed
from hfrecipes.folder import Run, read_json
from hfrecipes.release import assemble
from hfrecipes.stages import log
from hfrecipes.stages.card_apart import card_apart
from hfrecipes.stages.check import unshown
from hfrecipes.verification import LIST, smoke_apart, verify

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe
    from hfrecipes.releases import Release


def publish(recipe: Recipe, run: Run) -> Release:
    """Add the release of a run to the place that its recipe names. Raises CheckFailed where an item of the checklist was not
    shown: what is not shown is not published."""
    return distributed.on_main(lambda: _publish(recipe, run))


def _publish(recipe: Recipe, run: Run) -> Release:
    assert recipe.publish is not None
    found = read_json(run.path / LIST)
    if missing := unshown({item["check"] for item in found["items"]}):
        raise CheckFailed(f"not published: {missing}")
    with tempfile.TemporaryDirectory() as scratch:
        release = (_apart if recipe.publish.apart else _together)(recipe, run, Path(scratch))
    log.info("%s in %s, sha256 %s", release.name, recipe.publish.where, release.fingerprint[:12])
    return release


def _together(recipe: Recipe, run: Run, scratch: Path) -> Release:
    assert recipe.publish is not None
    assemble(run, scratch / "release")
    verify(scratch / "release")
    return recipe.publish.releases().add(scratch / "release")


def _apart(recipe: Recipe, run: Run, scratch: Path) -> Release:
    from hfrecipes.publishing_apart import publish_apart

    place = recipe.publish
    assert place is not None and place.repo is not None
    card_apart(recipe, run, place.repo)
    folders = assemble_apart(run, scratch, place.repo, smoke_apart(run))
    for folder in folders.values():
        verify(folder)
    return publish_apart(folders, place.repo, collection=place.collection, private=place.private)
