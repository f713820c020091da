"""Stopped at any moment, by a kill or a signal, a training goes on and ends with the weights of one that was not."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes.checkpoints import SAVING
from hfrecipes.folder import Run, verified
from tests.faults.trainings import ALL, EVERY, STEPS, Prepared, after, at_a_save, forked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork")
KILLS, INSIDE, SIGNALS = (50, 20, 20) if ALL else (4, 2, 2)


@pytest.fixture(scope="module")
def prepared(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared.of("bert", tiny_bert, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def whole(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """The sha256 of the weights of an undisturbed training, and the seconds that one takes."""
    place = tmp_path_factory.mktemp("whole")
    weights = prepared.learn(prepared.begin(place / "first"))
    run, started = prepared.begin(place / "second"), time.perf_counter()
    assert forked(lambda: prepared.learn(run), place / "log") == 0
    return weights, time.perf_counter() - started


def test_killed_anywhere_it_goes_on(
    prepared: Prepared, whole: tuple[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, took = whole
    dice, hit, fell_back = random.Random(0), 0, 0
    for number in range(KILLS):
        run = prepared.begin(tmp_path / str(number))
        dying: Callable[[int], None] = after(dice.uniform(0, took))
        if number < INSIDE:
            dying = at_a_save(dice.randint(1, STEPS // EVERY), signal.SIGKILL, run.checkpoints, dice.uniform(0, 0.02))
        code = forked(lambda run=run: prepared.learn(run), tmp_path / "log", dying)
        hit += (run.checkpoints / SAVING).exists()
        committed = sorted(run.checkpoints.glob("checkpoint-*"))
        for checkpoint in committed:
            verified(checkpoint)
        fell_back += bool(committed)
        assert code in (-signal.SIGKILL, 0)
        assert forked(lambda run=run: prepared.learn(run), tmp_path / "log") == 0
        assert prepared.learn(run) == weights, f"kill {number}: {len(committed)} checkpoints"
        assert not run.checkpoints.exists()
    assert hit >= INSIDE / 2, f"{hit} of {INSIDE} kills fell into a save"
    assert fell_back
    with capsys.disabled():
        print(
            f"\n{KILLS} of {KILLS} kills, {hit} inside a save, {fell_back} with a checkpoint to go on from: weights bit-identical"
        )


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_with_75_and_goes_on(
    signum: int, prepared: Prepared, whole: tuple[str, float], tmp_path: Path
) -> None:
    weights, _ = whole
    dice = random.Random(1)
    for number in range(SIGNALS):
        run, log = prepared.begin(tmp_path / str(number)), tmp_path / f"{number}.log"
        dying = at_a_save(dice.randint(1, STEPS // EVERY - 1), signum, run.checkpoints, dice.uniform(0.005, 0.05))
        assert forked(lambda run=run: prepared.learn(run), log, dying) == 75, log.read_text()
        [(name, step)] = re.findall(r"stopped by (SIG\w+) behind step (\d+), which is kept", log.read_text())
        assert name == signal.Signals(signum).name
        verified(run.checkpoints / f"checkpoint-{step}")
        assert prepared.learn(run) == weights, step


def test_a_second_signal_ends_it_at_once(prepared: Prepared, whole: tuple[str, float], tmp_path: Path) -> None:
    run = prepared.begin(tmp_path / "run")

    def twice(child: int) -> None:
        at_a_save(2, signal.SIGTERM, run.checkpoints, 0)(child)
        for _ in range(1000):
            time.sleep(0.0005)
            os.kill(child, signal.SIGTERM)

    assert forked(lambda: prepared.learn(run), tmp_path / "log", twice) in (-signal.SIGTERM, 75)
    assert prepared.learn(run) == whole[0]


def test_a_signal_at_the_end_of_an_epoch_leaves_no_evaluation_out(tiny_bert: Path, tmp_path: Path) -> None:
    """A checkpoint before the evaluation would go on behind it, and another epoch could be the best one."""
    train = {"eval_strategy": "epoch", "save_strategy": "epoch"}
    prepared = Prepared.of("bert", tiny_bert, tmp_path, train, early_stopping=2)
    whole = prepared.begin(tmp_path / "whole")
    weights = prepared.learn(whole)
    for step in (19, 20, 21):
        run = prepared.begin(tmp_path / str(step))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hfrecipes.stages.endurance.Preemption", at_step(step))
            with pytest.raises(Exception, match=f"behind step {step}"):
                prepared.learn(run)
        assert prepared.learn(run) == weights
        assert evaluated(run) == evaluated(whole) == 4


def at_step(step: int) -> type:
    """A preemption that is asked for at a step."""
    from hfrecipes.preemption import Preemption

    class AtStep(Preemption):
        def on_step_begin(self, args: object, state: object, control: object, **_: object) -> None:
            if getattr(state, "global_step", 0) == step - 1:
                self.asked = signal.SIGTERM

    return AtStep


def evaluated(run: Run) -> int:
    """How often the validation split was measured in a training, the one at its end counted."""
    return (run.model / "history.json").read_text("utf-8").count('"eval_loss"')
