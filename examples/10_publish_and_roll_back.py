"""Releases of a run on the Hub: published once, put in production, and back. A folder works the same way.

python examples/10_publish_and_roll_back.py RUN OTHER ME/REPO        (RUN and OTHER were shipped with the whole checklist)
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from hfrecipes import Predictor, Recipe, Run
from hfrecipes.destination import Publish
from hfrecipes.stages.publish import publish


def main(first: str, second: str, repo: str, text: str = "my card has not come") -> None:
    """`hfrecipes ship` publishes where a recipe says `publish: {repo: me/x, private: true}`; here two runs go to one place."""
    place = Publish(repo=repo, private=True)  # or Publish(registry="releases/intents")
    releases = place.releases()
    for folder in (first, second):
        run = Run.open(Path(folder))
        release = publish(replace(Recipe.load(run.recipe_file), publish=place), run)
        releases.promote(release.name)  # every byte verified, and asked for an answer, before it is in production
        print(f"{release.name} is in production: {Predictor.open(f'{repo}@production')(text)}")

    print(f"back to {releases.rollback().name}: {Predictor.open(f'{repo}@production')(text)}")
    for each in releases.releases():
        print("*" if each.current else " ", each.name, each.created, each.fingerprint[:12])


if __name__ == "__main__":
    main(*sys.argv[1:])
