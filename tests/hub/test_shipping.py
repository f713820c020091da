"""From a run to the Hub and back: what was shipped is published, goes into production, and answers from there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hfrecipes import Predictor, Recipe, Run, bootstrap, ship
from hfrecipes.config import to_yaml
from hfrecipes.destination import Publish
from tests.hub.server import WRITE, Hub, environment

ROOT = Path(__file__).parents[2]
PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from transformers import AutoModelForSequenceClassification
from hfrecipes import Predictor, Recipe
from hfrecipes.destination import Publish
from hfrecipes.folder import Run
from hfrecipes.hub import local_folder
from hfrecipes.stages.publish import publish
from hfrecipes.verification import verify

run = Run(Path(sys.argv[1]))
place = Publish(repo="me/films")
before = place.production()
release = publish(dataclasses.replace(Recipe.load(run.recipe_file), publish=place), run)
again = publish(dataclasses.replace(Recipe.load(run.recipe_file), publish=place), run)
promoted = place.releases().promote(release.name)
texts = ["the film was good", "the film was awful plot"]
print(json.dumps({
    "before": before,
    "names": [release.name, again.name, promoted.name, place.production().name],
    "complete": verify(local_folder("me/films@production"))["complete"],
    "bundle": [str(answer) for answer in Predictor.open("me/films@v1")(texts)],
    "head": [str(answer) for answer in Predictor.open("me/films")(texts)],
    "labels": AutoModelForSequenceClassification.from_pretrained("me/films").config.label2id,
}))
"""


def test_a_shipped_run_goes_to_the_hub_and_answers_from_there(hub: Hub, shown: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(shown)], capture_output=True, text=True, env=environment(hub, tmp_path)
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    here = [str(answer) for answer in Predictor.open(shown)(["the film was good", "the film was awful plot"])]
    assert found == {
        "before": None,
        "names": ["v1", "v1", "v1", "v1"],
        "complete": True,
        "bundle": here,
        "head": here,
        "labels": {"negative": 0, "positive": 1},
    }
    assert len(hub.calls("commit")) == 1, "of the release, and none a second time"
    sent = b"".join(request.body for request in hub.requests)
    assert str(shown.parent).encode() not in sent and WRITE.encode() not in sent
    assert WRITE not in done.stdout + done.stderr


def test_the_example_publishes_two_releases_and_goes_back(
    hub: Hub, shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "DRAWS", 50)
    other = Run(shutil.copytree(shown, tmp_path / "other"))
    other.recipe_file.write_text(to_yaml(told(Recipe.load(other.recipe_file), tmp_path).dump()), "utf-8")
    ship(other)
    command = [
        sys.executable,
        "examples/10_publish_and_roll_back.py",
        str(shown),
        str(other.path),
        "me/films",
        "the film was good",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(hub, tmp_path), cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "v2 is in production: " in done.stdout and "back to v1: " in done.stdout


def told(recipe: Recipe, folder: Path) -> Recipe:
    """A recipe that says something else about its model, and publishes to a registry of its own."""
    assert recipe.card is not None
    return replace(recipe, publish=Publish(registry=str(folder / "registry")), card=replace(recipe.card, limits="Not for books."))
