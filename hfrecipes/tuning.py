"""Tuning: the values of a recipe that do best on the validation split, searched with optuna; a search can be gone on with."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
from pydantic import Field
from transformers import TrainerCallback

from hfrecipes import config
from hfrecipes.arguments import check_arguments
from hfrecipes.errors import RecipeError, UserError
from hfrecipes.folder import write_text
from hfrecipes.recipe import Recipe
from hfrecipes.stages.train import trainer_for
from hfrecipes.value import Checked, adapter, value
from hfrecipes.verbs import begin

if TYPE_CHECKING:
    import optuna


@value
class Range(Checked):
    """A range of numbers; whole numbers where both ends are, by factors instead of steps where `log` is set."""

    low: int | float
    high: int | float
    log: bool = False


Space = Mapping[str, Annotated[list[Any], Field(min_length=1)] | Range]


@dataclass(frozen=True)
class Tuned:
    """The best values by the key that they have in the recipe, the figure they reached, and how many trials ended."""

    values: dict[str, Any]
    figure: str
    score: float
    trials: int


def tune(recipe: Path, space: Path, out: Path, trials: int, overrides: Sequence[str] = ()) -> Tuned:
    """Train with values out of `space` until `trials` trials have ended, those of an earlier call counted.

    `space` is a YAML file of keys as overrides have them: `train.learning_rate: {low: 1e-5, high: 1e-3, log: true}`, or a list
    of values. What decides is the recipe's first metric after the best epoch, or the loss where `evaluate` names none. A trial
    that is worse than the median of the others at the same epoch is cut short. `out` gets `study.db` and `best.yaml`, the values
    that differ from the recipe. The test split is not read. Raises UserError where optuna is missing.
    """
    optuna = _optuna()
    ranges = read_space(space)
    base = Recipe.load(recipe, overrides)
    for key in ranges:  # a wrong key is refused before the first training
        check_arguments(Recipe.load(recipe, [*overrides, f"{key}={json.dumps(first(ranges[key]))}"]))
    metric = base.metrics({})[0] if base.task.scored_in_training and base.evaluate else None
    figure, lower = (metric.figure, metric.lower_is_better) if metric else ("loss", True)
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'study.db'}",
        study_name=base.task.name,
        load_if_exists=True,
        direction="minimize" if lower else "maximize",
        sampler=optuna.samplers.TPESampler(seed=base.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )

    def train(trial: Any) -> float:
        drawn = {key: draw(trial, key, allowed) for key, allowed in ranges.items()}
        tried = Recipe.load(recipe, [*overrides, *(f"{key}={json.dumps(entry)}" for key, entry in drawn.items())])
        report = Reporting(trial, f"eval_{figure}")
        fit(tried, out / "run", report)
        return (min if lower else max)(report.reached)

    ended = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED
    while (done := len(study.get_trials(deepcopy=False, states=ended))) < trials:
        study.optimize(train, n_trials=1)
    chosen = study.best_params
    best = {key: chosen[key] if isinstance(ranges[key], Range) else json.loads(chosen[key]) for key in ranges}
    write_text(out / "best.yaml", config.to_yaml(nested(best)))
    return Tuned(best, figure, study.best_value, done)


def fit(recipe: Recipe, out: Path, report: Reporting) -> None:
    """Train a recipe for its evaluations alone; rows that are prepared already are not prepared again."""
    train = {**recipe.train, "eval_strategy": "epoch", "save_strategy": "no"}
    short = dataclasses.replace(recipe, train=train, early_stopping=None)
    trainer = trainer_for(short, begin(short, out))
    trainer.add_callback(report)
    trainer.train()


class Reporting(TrainerCallback):
    """Tells optuna what every evaluation reached, and ends the trial where it is hopeless."""

    def __init__(self, trial: optuna.Trial, figure: str) -> None:
        self.trial, self.figure = trial, figure
        self.reached: list[float] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """Called by the Trainer."""
        self.reached.append(metrics[self.figure])
        if math.isfinite(metrics[self.figure]):
            self.trial.report(metrics[self.figure], len(self.reached))
        if self.trial.should_prune():
            raise _optuna().TrialPruned


def read_space(file: Path) -> Space:
    """The values that may be drawn, by key. Raises RecipeError where they are neither a list nor a range."""
    try:
        found: Space = adapter(Space).validate_python(config.read(file))
    except pydantic.ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][:1])
        raise RecipeError(f"{file}: {where}", "is no space", "Write a list of values, or {low: …, high: …, log: true}") from None
    for key, allowed in found.items():
        if isinstance(allowed, Range) and not (allowed.low < allowed.high and (allowed.low > 0 or not allowed.log)):
            what = "needs a low end below the high one, and above 0 where log is set"
            raise RecipeError(f"{file}: {key}", what, "Write {low: 1e-5, high: 1e-3, log: true}")
    if not found:
        raise RecipeError(str(file), "names nothing to tune", "Write `train.learning_rate: {low: 1e-5, high: 1e-3, log: true}`")
    return found


def first(allowed: Sequence[Any] | Range) -> Any:
    """A value that may be drawn."""
    return allowed.low if isinstance(allowed, Range) else allowed[0]


def draw(trial: optuna.Trial, key: str, allowed: Sequence[Any] | Range) -> Any:
    """A value for one key of a trial."""
    if not isinstance(allowed, Range):
        return json.loads(trial.suggest_categorical(key, [json.dumps(entry) for entry in allowed]))
    if isinstance(allowed.low, int) and isinstance(allowed.high, int):
        return trial.suggest_int(key, allowed.low, allowed.high, log=allowed.log)
    return trial.suggest_float(key, allowed.low, allowed.high, log=allowed.log)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"train.learning_rate": 1e-4}` as `{"train": {"learning_rate": 1e-4}}`."""
    found: dict[str, Any] = {}
    for key, entry in values.items():
        *outer, last = key.split(".")
        inner = found
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = entry
    return found


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UserError("tune", "needs optuna, which is not installed", "Run: pip install 'hfrecipes[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
