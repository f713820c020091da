"""publish: a run that may be released, put together and added to the releases of its place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hfrecipes import distributed
from hfrecipes.checks import CHECKLIST
from hfrecipes.errors import CheckFailed
from hfrecipes.folder import Run, read_json
from hfrecipes.release import assemble
from hfrecipes.stages import log
from hfrecipes.verification import LIST, verify

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
    shown = {item["check"] for item in found["items"]}
    if missing := [name for name in CHECKLIST if name not in shown]:
        raise CheckFailed(
            f"not published. The checklist does not show {', '.join(missing)}: name them in `check`, or leave it out"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "release"
        assemble(run, folder)
        verify(folder)
        release = recipe.publish.releases().add(folder)
    log.info("%s in %s, sha256 %s", release.name, recipe.publish.where, release.fingerprint[:12])
    return release
