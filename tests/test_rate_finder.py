"""The range test: which rate is suggested from which losses, and a sweep over a real recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.cli import app
from hfrecipes.config import to_yaml
from hfrecipes.errors import RecipeError
from hfrecipes.rate_finder import HIGHEST, LOWEST, find_rate, sweep
from tests.strategies.test_stages import recipe

RATES = [10 ** (i / 10 - 7) for i in range(70)]


def losses(fall: float, burst: float) -> list[tuple[float, float]]:
    """A loss that falls from 4 to 1 around one rate, and bursts at another."""
    return [(rate, 1 + 3 / (1 + (rate / fall) ** 2) + (rate / burst) ** 4) for rate in RATES]


@pytest.mark.parametrize("fall", [1e-5, 1e-4, 1e-3])
def test_the_rate_of_the_steepest_fall_is_suggested(fall: float) -> None:
    found = sweep(losses(fall, fall * 100))
    assert fall / 2 < found.suggestion < fall * 5
    assert found.suggestion < fall * 100


def test_losses_that_are_no_numbers_do_not_count() -> None:
    whole = losses(1e-4, 1e-2)
    assert sweep([*whole, (1.0, float("nan")), (1.0, float("inf"))]) == sweep(whole)


@pytest.mark.parametrize("flat", [[], [(1e-5, 1.0)], [(rate, 1 + rate) for rate in RATES]])
def test_a_loss_that_never_falls_is_refused(flat: list[tuple[float, float]]) -> None:
    with pytest.raises(RecipeError, match="fell at none of the rates"):
        sweep(flat)


def test_a_sweep_grows_the_rate_and_finds_one_that_teaches(tiny_bert: Path, tmp_path: Path) -> None:
    train = {"bf16": False, "per_device_train_batch_size": 8, "warmup_steps": 0.1, "num_train_epochs": 9}
    found = find_rate(recipe(tmp_path, tiny_bert, train=train), tmp_path / "out", steps=60)
    assert found.rates[0] == pytest.approx(LOWEST)
    assert list(found.rates) == sorted(found.rates)
    assert found.rates[-1] > 1e-3
    assert found.rates[-1] <= HIGHEST * 1.0001
    assert 1e-5 < found.suggestion < 1
    written = json.loads((tmp_path / "out/lr_find.json").read_text())
    assert written["suggestion"] == found.suggestion
    assert (tmp_path / "out/lr_find.png").stat().st_size > 1000


def test_the_command_prints_an_override(tiny_bert: Path, tmp_path: Path, capsys: Any) -> None:
    from typer.testing import CliRunner

    file = tmp_path / "recipe.yaml"
    file.write_text(to_yaml(recipe(tmp_path, tiny_bert, train={"bf16": False}).dump()))
    done = CliRunner().invoke(app, ["lr-find", str(file), "-o", str(tmp_path / "out"), "--steps", "40"])
    assert done.exit_code == 0, done.output
    assert "train.learning_rate=" in done.output
