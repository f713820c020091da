"""What goes on from a checkpoint ends with the weights of what was never stopped, whatever was trained and wherever it was."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.faults.trainings import ALL, Prepared

FAMILIES = ("bert", "gpt", "t5")
STRATEGIES = ("feature_extraction", "gradual_unfreezing", "full", "lora")
PLACES = {"in an epoch": 9, "between two": 10}
"""Steps behind which a training of ten steps an epoch is stopped; a checkpoint is committed at every third and at every fifth."""
EVERY = [*product(FAMILIES, STRATEGIES, PLACES, (1, 4), (0, 2))]
WEIGHING = [(family, "adalora", place, 1, 0) for family, place in zip(FAMILIES, [*PLACES, *PLACES], strict=False)]
"""A strategy that weighs what it has seen; behind the stop it goes by that."""
CASES = [*(EVERY if ALL else EVERY[::11]), *WEIGHING]


class Stopped(Exception):
    """The training was stopped here."""


@pytest.mark.parametrize(("family", "strategy", "place", "accumulation", "workers"), CASES)
def test_exactly(
    family: str, strategy: str, place: str, accumulation: int, workers: int,
    tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path,
) -> None:  # fmt: skip
    from hfrecipes.trainer import RecipeTrainer

    train = {
        "per_device_train_batch_size": 16 // accumulation,
        "gradient_accumulation_steps": accumulation,
        "dataloader_num_workers": workers,
        "num_train_epochs": 5 if strategy == "gradual_unfreezing" else 2,
        "save_steps": 3 if place == "in an epoch" else 5,
    }
    model = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]
    prepared = Prepared.of(family, model, tmp_path, train, strategy=strategy)

    class Stops(RecipeTrainer):
        def training_step(self, *given: Any, **named: Any) -> Any:
            if self.state.global_step > PLACES[place]:
                raise Stopped
            return super().training_step(*given, **named)

    run = prepared.begin(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Stops)
        with pytest.raises(Stopped):
            prepared.learn(run)
    assert (run.checkpoints / f"checkpoint-{PLACES[place]}/manifest.json").is_file()
    assert prepared.learn(run) == prepared.learn(prepared.begin(tmp_path / "whole"))
