"""Tuning: what is drawn, what is kept, what is refused."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from hfrecipes import Recipe, config, tuning
from hfrecipes.cli import app
from hfrecipes.errors import RecipeError
from tests.strategies.test_stages import recipe

SPACE = {"train.learning_rate": {"low": 1e-6, "high": 1e-2, "log": True}, "strategy": ["full", {"layer_decay": {"decay": 0.5}}]}


@pytest.fixture
def files(tiny_bert: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A recipe and a space."""
    pytest.importorskip("optuna", reason="the extra `tune` installs optuna")
    train = {"num_train_epochs": 2, "bf16": False, "per_device_train_batch_size": 8}
    found = recipe(tmp_path, tiny_bert, train=train, evaluate=["accuracy"])
    (tmp_path / "recipe.yaml").write_text(config.to_yaml(found.dump()))
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    return tmp_path / "recipe.yaml", tmp_path / "space.yaml"


def test_the_best_values_are_found_kept_and_gone_on_from(files: tuple[Path, Path], tmp_path: Path) -> None:
    trained = []

    def count(*given: Any) -> None:
        trained.append(given)
        fit(*given)

    fit = tuning.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "fit", count)
        few = tuning.tune(*files, tmp_path / "out", trials=2)
        more = tuning.tune(*files, tmp_path / "out", trials=5)
    assert (few.trials, more.trials, len(trained)) == (2, 5, 5)
    assert more.figure == "accuracy"
    assert more.score >= few.score
    best = yaml.safe_load((tmp_path / "out/best.yaml").read_text())
    assert 1e-6 <= best["train"]["learning_rate"] <= 1e-2
    assert more.values["strategy"] == best["strategy"]
    assert best["strategy"] in SPACE["strategy"]
    assert not (tmp_path / "out/run/model").exists()


def test_the_command_says_what_to_write(files: tuple[Path, Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["tune", *map(str, files), "-o", str(tmp_path / "out"), "--trials", "1"])
    assert done.exit_code == 0, done.output
    said = done.output.splitlines()
    overrides = shlex.split(next(line for line in said if "train.learning_rate=" in line))
    assert sorted(text.partition("=")[0] for text in overrides) == ["strategy", "train.learning_rate"]
    assert 1e-6 <= Recipe.load(files[0], overrides).train["learning_rate"] <= 1e-2


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "names nothing to tune"),
        ({"train.learning_rate": 1e-3}, "is no space"),
        ({"train.learning_rate": []}, "is no space"),
        ({"train.learning_rate": {"low": 1, "high": 1}}, "low end below the high one"),
        ({"train.learning_rate": {"low": 0.0, "high": 1.0, "log": True}}, "above 0 where log is set"),
        ({"train.learning_rte": [1]}, "unknown key"),
        ({"strategy": ["lorra"]}, "Did you mean"),
    ],
)
def test_a_space_that_means_nothing_is_refused(
    space: dict[str, Any], said: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    files[1].write_text(yaml.safe_dump(space))
    with pytest.raises(RecipeError, match=said):
        tuning.tune(*files, tmp_path / "out", trials=1)
    assert not (tmp_path / "out/run").exists()
