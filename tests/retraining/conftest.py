"""A world that moves: films are called good in other words than those that the model has learned from."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NEUTRAL, films

NEW_GOOD, NEW_BAD = ("new", "my", "end"), ("old", "your", "plot")


def moved(count: int, seed: int, wrong: bool = False) -> list[dict[str, str]]:
    """Rows of the new world, none of them twice; or with the labels of the other class."""
    draw, seen = random.Random(seed), set()
    rows: list[dict[str, str]] = []
    while len(rows) < count:
        good = bool(len(rows) % 2)
        word = draw.choice(NEW_GOOD if good else NEW_BAD)
        rest = draw.sample([each for each in NEUTRAL if each not in (*NEW_GOOD, *NEW_BAD)], draw.randint(4, 8))
        if (text := " ".join(["bank card play", word, *rest])) not in seen:
            seen.add(text)
            rows.append({"text": text, "label": "positive" if good != wrong else "negative"})
    return rows


@pytest.fixture(scope="session")
def served(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was shipped and is published nowhere. Copy it, never change it."""
    from hfrecipes import verbs
    from hfrecipes.config import build
    from hfrecipes.recipe import Recipe

    root = tmp_path_factory.mktemp("served")
    verbs.run(build(Recipe, {**films(root, values), "check": ["parity"]}), root / "run")
    return root / "run"


@pytest.fixture
def run(served: Path, tmp_path: Path) -> Path:
    """A copy of the run, whose candidates lie beside it."""
    return shutil.copytree(served, tmp_path / "runs/films")
