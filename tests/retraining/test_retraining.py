"""Retraining: what is promoted, what is kept aside, and what is not begun."""

from __future__ import annotations

from pathlib import Path

from hfrecipes import retrain
from hfrecipes.retraining import decisions
from tests.conftest import write_lines
from tests.retraining.conftest import moved


def test_a_candidate_that_is_better_takes_the_place_of_the_champion(run: Path, tmp_path: Path) -> None:
    new = write_lines(tmp_path / "new.jsonl", moved(240, seed=1))
    found = retrain(run, new)
    print(found)
    print(decisions(run))
    assert found.event == "promoted"
