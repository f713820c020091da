"""Trainings that something happens to: small, prepared once, each in a process of its own that can be killed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfrecipes import verbs
from hfrecipes.checkpoints import SAVING
from hfrecipes.config import build
from hfrecipes.folder import Run, sha256
from hfrecipes.recipe import Recipe
from tests.conftest import sentiment, write_lines

ALL = os.environ.get("HFRECIPES_FAULTS") == "all"
"""Whether each fault is tried as often as `make bench ONLY=faults` does."""
STEPS, EVERY = 60, 10
TRAIN = {
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 8,
    "bf16": False,
    "num_train_epochs": 3,
    "eval_strategy": "no",
    "save_strategy": "steps",
    "save_steps": EVERY,
    "logging_strategy": "no",
}
"""Sixty steps in three epochs, and a checkpoint at every tenth."""


@dataclass(frozen=True)
class Prepared:
    """A recipe whose rows lie ready in a run folder."""

    recipe: Recipe
    run: Path

    @classmethod
    def of(cls, family: str, model: Any, folder: Path, train: Any = None, rows: Any = None, **parts: Any) -> Prepared:
        """Prepare the rows of a small task for a family; `train` are arguments, `rows` those to train on."""
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        splits = {"train": rows or sentiment(160), "validation": sentiment(16, 160), "test": sentiment(16, 176)}
        for split, each in splits.items():
            write_lines(data / f"{split}.jsonl", each)
        recipe = {"recipe": family, "task": "text-classification", "data": {"path": str(data)}}
        made: Recipe = build(
            Recipe,
            {
                **recipe,
                "model": str(model) if isinstance(model, Path) else model,
                "train": {**TRAIN, **(train or {})},
                "fast_path": [],
                **parts,
            },
        )
        verbs.begin(made, folder / "prepared")
        return cls(made, folder / "prepared")

    def begin(self, place: Path) -> Run:
        """A run in which nothing was trained yet."""
        shutil.copytree(self.run, place)
        return Run(place)

    def learn(self, run: Run) -> str:
        """Train, or go on; gives the sha256 of the weights."""
        return sha256(verbs.learn(self.recipe, run.path).weights)


def forked(work: Callable[[], object], log: Path, moment: Callable[[int], None] | None = None) -> int:
    """Do work in a process of its own, whose output goes to `log`, while `moment` is called with its number. Gives its exit code,
    or the number of the signal that ended it as a negative one."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            sys.stdout = sys.stderr = log.open("a", encoding="utf-8")
            work()
            code = 0
        except BaseException as error:
            code = getattr(error, "exit_code", 1)
            traceback.print_exc(file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)
    if moment is not None:
        moment(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_a_save(number: int, signum: int, checkpoints: Path, delay: float) -> Callable[[int], None]:
    """A moment `delay` seconds after the `number`th save has begun (from 1 on)."""

    def moment(child: int) -> None:
        for _ in range(number):
            while (checkpoints / SAVING).exists() and not ended(child):
                time.sleep(0.0002)
            while not (checkpoints / SAVING).exists() and not ended(child):
                time.sleep(0.0002)
        time.sleep(delay)
        os.kill(child, signum)

    return moment


def after(seconds: float, signum: int = signal.SIGKILL) -> Callable[[int], None]:
    """A moment so many seconds after the process began."""

    def moment(child: int) -> None:
        time.sleep(seconds)
        os.kill(child, signum)

    return moment


def ended(child: int) -> bool:
    """Whether a child has ended and waits to be asked for its exit code."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
