"""Endurance: a training that is stopped, killed, short of memory or given numbers that are none goes on, or ends and says why."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hfrecipes import distributed
from hfrecipes.arguments import grouping
from hfrecipes.checkpoints import newest
from hfrecipes.errors import NonFinite, RecipeError
from hfrecipes.folder import Run, read_json, write_json
from hfrecipes.preemption import Preemption
from hfrecipes.stages import log

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe
    from hfrecipes.trainer import RecipeTrainer

REWOUND = "rewound.json"
"""The file beside checkpoints that says how often a training went back."""
REWINDS = 3


def endure(
    recipe: Recipe, run: Run, trainer: RecipeTrainer, again: Callable[[Recipe], RecipeTrainer], training: str
) -> RecipeTrainer:
    """Train to the end, with `trainer` or one that is made `again`, from the newest checkpoint that is whole. Where a micro-batch
    needs more memory than there is, it is halved and the step keeps its rows. Where the recipe says `non_finite: rewind`, numbers
    that are none send the training back to its last checkpoint, with half the learning rate. Raises Preempted and NonFinite."""
    preemption, rewound = Preemption(), run.checkpoints / REWOUND
    while True:
        trainer.training = training
        trainer.add_callback(preemption)
        trainer.add_callback(Slower(_times(rewound, training)))
        try:
            with preemption.listening():
                found = newest(run.checkpoints, training)
                trainer.train(resume_from_checkpoint=None if found is None else str(found))
            return trainer
        except NonFinite as error:
            times = _times(rewound, training)
            if recipe.non_finite != "rewind" or times == REWINDS:
                raise
            log.warning("%s Going back to the last checkpoint, with %g of the learning rate", error, 0.5 ** (times + 1))
            run.checkpoints.mkdir(exist_ok=True)
            distributed.on_main(lambda n=times + 1: write_json(rewound, {"training": training, "times": n}))  # type: ignore[misc]
        except (RuntimeError, MemoryError) as error:
            if not _too_large(error):
                raise
            recipe = smaller(recipe)
        del trainer
        gc.unfreeze()  # of what the fast path has it pass over, this trainer is garbage now
        gc.collect()
        _free()
        trainer = again(recipe)


class Slower(TrainerCallback):
    """Halves the learning rate of every step as many times as the training went back."""

    def __init__(self, times: int) -> None:
        self.factor = 0.5**times
        self._rates: list[Any] = []

    def on_pre_optimizer_step(self, *_: Any, optimizer: Any = None, **__: Any) -> None:
        """Take the step with the smaller rate."""
        self._rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups if self.factor != 1 else ():
            group["lr"] = group["lr"] * self.factor

    def on_optimizer_step(self, *_: Any, optimizer: Any = None, **__: Any) -> None:
        """Give the schedule its own rates back."""
        for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate


def smaller(recipe: Recipe) -> Recipe:
    """The recipe with half the rows (or tokens) in a micro-batch and twice as many micro-batches in a step, told in one line.
    Raises RecipeError where that cannot be."""
    rows, parts = grouping(recipe)[0], int(recipe.train.get("gradient_accumulation_steps", 1))
    where = f"{recipe.name}.train"
    if recipe.batch_tokens is None and rows == 1:
        what = "a step of one row needs more memory than there is"
        raise RecipeError(where, what, "Write `activation_checkpointing: true` or a smaller max_length")
    halved = {"gradient_accumulation_steps": 2 * parts}
    if recipe.batch_tokens is None:
        halved["per_device_train_batch_size"] = rows // 2
    instead = ", ".join(f"{name}={entry}" for name, entry in sorted(halved.items()))
    what = "a micro-batch needs more memory than there is"
    if rows % 2 and recipe.batch_tokens is None:
        raise RecipeError(where, what, "Write an even per_device_train_batch_size, which can be halved, or a smaller one")
    if distributed.processes() > 1:  # the others wait inside of the step, and cannot be told
        raise RecipeError(where, what, f"Write {instead}: a step keeps its rows")
    tokens = recipe.batch_tokens and max(1, recipe.batch_tokens // 2)
    log.warning("%s: going on with %s", what, instead if tokens is None else f"{instead}, batch_tokens={tokens}")
    return replace(recipe, train={**recipe.train, **halved}, batch_tokens=tokens)


def _too_large(error: BaseException) -> bool:
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, MemoryError) or (isinstance(error, Exception) and should_reduce_batch_size(error))


def _free() -> None:
    from accelerate.utils.memory import clear_device_cache

    clear_device_cache(garbage_collection=True)


def _times(file: Path, training: str) -> int:
    """How often a training went back."""
    found = read_json(file) if file.is_file() else {}
    return int(found["times"]) if found.get("training") == training else 0
