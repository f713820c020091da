"""Rate finder: a short training whose learning rate grows at every step shows which rates teach."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from hfrecipes.errors import RecipeError
from hfrecipes.folder import write_json
from hfrecipes.plots import draw_rates
from hfrecipes.recipe import Recipe
from hfrecipes.stages.train import trainer_for
from hfrecipes.verbs import begin

LOWEST, HIGHEST = 1e-7, 1.0
SMOOTHING = 0.8
"""Weight of the past in the running mean of the loss."""
DIVERGED = 3.0
"""How many times the best loss so far is too far."""


@dataclass(frozen=True)
class Sweep:
    """The learning rates of a sweep, the running mean of the loss at each, and the rate at which it fell the fastest."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_rate(recipe: Recipe, out: str | Path, steps: int = 100) -> Sweep:
    """Smith's range test (2017, arXiv:1506.01186) on the recipe's own rows, model and strategy; writes `lr_find.json` and
    `lr_find.png` into `out`. Raises RecipeError where the loss never falls."""
    train = {key: entry for key, entry in recipe.train.items() if key not in ("num_train_epochs", "warmup_steps")}
    saves = {"eval_strategy": "no", "save_strategy": "no", "logging_steps": 1, "logging_nan_inf_filter": False}
    short = dataclasses.replace(recipe, train={**train, **saves, "max_steps": steps, "learning_rate": LOWEST})
    run = begin(short, out)
    trainer = trainer_for(short, run)
    trainer.lr_scheduler = growing(trainer.create_optimizer(), steps)
    log = Losses()
    trainer.add_callback(log)
    trainer.train()
    found = sweep(log.entries)
    write_json(run.path / "lr_find.json", dataclasses.asdict(found))
    draw_rates(found.rates, found.losses, found.suggestion, run.path / "lr_find.png")
    return found


def growing(optimizer: Any, steps: int) -> Any:
    """A schedule from the lowest rate to the highest, by the same factor every step."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda step: (HIGHEST / LOWEST) ** (step / max(1, steps - 1)))


class Losses(TrainerCallback):
    """Keeps the loss of every step, and stops the training when it has left its best far behind."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Called by the Trainer."""
        if logs and "loss" in logs:
            loss = float(logs["loss"])
            self.entries.append((float(logs["learning_rate"]), loss))
            best = min((past for _, past in self.entries if math.isfinite(past)), default=loss)
            control.should_training_stop |= not math.isfinite(loss) or (best > 0 and loss > DIVERGED * best + 1)


def sweep(entries: Sequence[tuple[float, float]]) -> Sweep:
    """The running mean of the losses, and the rate at which it falls the fastest, before its lowest point."""
    finite = [(rate, loss) for rate, loss in entries if math.isfinite(loss)]
    means: list[float] = []
    mean = 0.0
    for i, (_, loss) in enumerate(finite, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        means.append(mean / (1 - SMOOTHING**i))
    lowest = means.index(min(means)) if means else 0
    falls = [means[i] - means[i + 1] for i in range(lowest)]
    if not falls or max(falls) <= 0:
        raise RecipeError("train.learning_rate", "the loss fell at none of the rates that were tried", "Check the labels")
    rates = tuple(rate for rate, _ in finite)
    return Sweep(rates, tuple(means), rates[falls.index(max(falls))])
