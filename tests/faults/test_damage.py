"""A checkpoint that was damaged is found out, and the training goes on from the newest that was not, as behind a full disk."""

from __future__ import annotations

import random
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes.checkpoints import SAVING
from hfrecipes.errors import ModelError, RunError
from hfrecipes.folder import Run, verified
from tests.faults.trainings import ALL, Prepared, forked

FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "manifest.json")
DAMAGES = ("missing", "truncated", "empty", "flipped")
CASES = [(file, damage) for file in FILES for damage in DAMAGES if ALL or FILES.index(file) % 4 == DAMAGES.index(damage)]


class Stopped(Exception):
    """The training was stopped here."""


@pytest.fixture(scope="module")
def prepared(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared.of("bert", tiny_bert, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def weights(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sha256 of the weights of an undisturbed training."""
    return prepared.learn(prepared.begin(tmp_path_factory.mktemp("whole") / "run"))


@pytest.fixture(scope="module")
def stopped(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was stopped behind its fourth checkpoint."""
    from hfrecipes.trainer import RecipeTrainer

    class Stops(RecipeTrainer):
        def training_step(self, *given: Any, **named: Any) -> Any:
            if self.state.global_step == 45:
                raise Stopped
            return super().training_step(*given, **named)

    run = prepared.begin(tmp_path_factory.mktemp("stopped") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Stops)
        with pytest.raises(Stopped):
            prepared.learn(run)
    return run


def copied(run: Run, place: Path) -> Run:
    """A copy of a run."""
    shutil.copytree(run.path, place)
    return Run(place)


def hurt(file: Path, damage: str) -> None:
    """Do a damage to a file."""
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        place = random.Random(0).randrange(len(content))
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def test_two_checkpoints_are_kept_without_the_pickle_of_arguments(stopped: Run) -> None:
    assert sorted(path.name for path in stopped.checkpoints.iterdir()) == ["checkpoint-30", "checkpoint-40", "energy"]
    assert not [*stopped.checkpoints.rglob("training_args.bin")]
    assert verified(stopped.checkpoints / "checkpoint-40")["step"] == 40


@pytest.mark.parametrize(("file", "damage"), CASES)
def test_what_was_damaged_is_not_gone_on_from(
    file: str, damage: str, prepared: Prepared, stopped: Run, weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = copied(stopped, tmp_path / "run")
    hurt(run.checkpoints / "checkpoint-40" / file, damage)
    with caplog.at_level("WARNING", "hfrecipes"):
        assert prepared.learn(run) == weights
    [line] = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    named = "manifest" if file == "manifest.json" else file  # a bit of a hash in it makes that file a stranger to it
    assert "checkpoint-40" in line and "going on from checkpoint-30" in line and named in line


def test_where_all_are_damaged_it_starts_anew_and_says_so(
    prepared: Prepared, stopped: Run, weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = copied(stopped, tmp_path / "run")
    for step in (30, 40):
        hurt(run.checkpoints / f"checkpoint-{step}/optimizer.pt", "truncated")
    with caplog.at_level("WARNING", "hfrecipes"):
        assert prepared.learn(run) == weights
    assert any("no other is there, so the training starts anew" in record.getMessage() for record in caplog.records)


def test_checkpoints_of_other_settings_are_not_gone_on_from(
    prepared: Prepared, stopped: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dataclasses import replace

    run, other = copied(stopped, tmp_path / "run"), Prepared(replace(prepared.recipe, seed=1), prepared.run)
    with caplog.at_level("WARNING", "hfrecipes"):
        found = other.learn(run)
    assert any("of another training (other settings or data): it starts anew" in record.getMessage() for record in caplog.records)
    fresh = copied(stopped, tmp_path / "fresh")
    shutil.rmtree(fresh.checkpoints)
    assert other.learn(fresh) == found


def test_a_best_checkpoint_that_was_damaged_is_not_published(tiny_bert: Path, tmp_path: Path) -> None:
    """The Trainer loads the best at the end of a training, whatever is in it."""
    from hfrecipes.trainer import RecipeTrainer

    class Hurting(RecipeTrainer):
        def training_step(self, *given: Any, **named: Any) -> Any:
            if self.state.global_step == 59:
                hurt(Path(str(self.state.best_model_checkpoint)) / "model.safetensors", "flipped")
            return super().training_step(*given, **named)

    train = {"eval_strategy": "steps", "eval_steps": 10, "learning_rate": 1e-5}
    prepared = Prepared.of("bert", tiny_bert, tmp_path, train)
    run = prepared.begin(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Hurting)
        with pytest.raises(ModelError, match="is not the file that its manifest names"):
            prepared.learn(run)
    assert prepared.learn(run) == prepared.learn(prepared.begin(tmp_path / "whole"))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of files")
def test_a_full_disk_leaves_the_last_checkpoint_and_nothing_else(
    prepared: Prepared, stopped: Run, weights: str, tmp_path: Path
) -> None:
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    largest = (stopped.checkpoints / "checkpoint-40/optimizer.pt").stat().st_size
    for number in range(20 if ALL else 3):
        run, log = copied(stopped, tmp_path / str(number)), tmp_path / f"{number}.log"
        budget = random.Random(number).randrange(4096, largest)

        def limited(run: Run = run, budget: int = budget) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (budget, budget))
            prepared.learn(run)

        log.touch()
        assert forked(limited, log) == RunError.exit_code, log.read_text()
        said = log.read_text().splitlines()[-1]
        assert "the disk is full: the checkpoint of step 50 needs about" in said and str(run.checkpoints) in said, said
        assert not (run.checkpoints / SAVING).exists()
        verified(run.checkpoints / "checkpoint-40")
        assert prepared.learn(run) == weights


def test_numbers_that_are_none_are_never_saved(prepared: Prepared, tmp_path: Path) -> None:
    from hfrecipes.errors import NonFinite
    from hfrecipes.trainer import RecipeTrainer

    class Overflowing(RecipeTrainer):
        def _maybe_log_save_evaluate(self, *given: Any, **named: Any) -> Any:
            if self.state.global_step == 20:
                with torch.no_grad():
                    next(self.model.parameters())[0, 0] = float("inf")
            return super()._maybe_log_save_evaluate(*given, **named)

    run = prepared.begin(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Overflowing)
        with pytest.raises(NonFinite, match=r"the weight \S+ is not finite at step 20\. Nothing was saved"):
            prepared.learn(run)
    assert [path.name for path in run.checkpoints.glob("checkpoint-*")] == ["checkpoint-10"]
