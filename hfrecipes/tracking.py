"""Tracking: the trackers of `train: {report_to: …}` get the figures of the whole run, beside what the Trainer sends them.

TensorBoard's files are in the run, in `tracking/`, where `TENSORBOARD_LOGGING_DIR` says nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hfrecipes import distributed
from hfrecipes.arguments import arguments
from hfrecipes.errors import DependencyError, RecipeError
from hfrecipes.folder import Run, read_json, write_json
from hfrecipes.report import Report

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from hfrecipes.recipe import Recipe

FOLDER, SENT = "tracking", "tracked.json"
COSTS = ("mb", "p50_ms", "p95_ms", "sentences_per_s")


def check_trackers(recipe: Recipe) -> None:
    """Refuse trackers that are not known, or not installed, before anything is trained."""
    _trackers(recipe, arguments(recipe, Path("unused"), "loss", lower=True))


def keep(callbacks: Sequence[Any], run: Run) -> None:
    """Have TensorBoard write into a run: where the Trainer would have it is deleted behind a training."""
    for callback in callbacks:
        if type(callback).__name__ == "TensorBoardCallback" and callback.logging_dir is None:
            callback.logging_dir = str(run.path / FOLDER)


def track(recipe: Recipe, run: Run) -> None:
    """Send what the report says of each candidate, and was not sent before."""
    if recipe.train.get("report_to", "none") != "none":
        distributed.on_main(lambda: _track(recipe, run))


def figures(report: Report) -> dict[str, float]:
    """What trackers are sent: `test_cpu/int8/accuracy`, `test_cpu/int8/p95_ms`, …; trackers show `test_` as a group."""
    found: dict[str, float] = {}
    for candidate in report.frontier:
        costs = {name: getattr(candidate, name) for name in COSTS}
        found |= {f"test_{candidate.name}/{name}": float(figure) for name, figure in {**candidate.scores, **costs}.items()}
    checks = {f"test_checks/{verdict['check']}": float(verdict["passed"]) for verdict in report.values.get("checks", [])}
    return found | checks


def _track(recipe: Recipe, run: Run) -> None:
    from transformers import TrainerControl, TrainerState

    options = arguments(recipe, run.checkpoints, "loss", lower=True)
    if not (trackers := _trackers(recipe, options)):
        return
    sent = read_json(run.path / SENT) if (run.path / SENT).is_file() else {}
    now = figures(Report.load(run.path))
    fresh = {name: figure for name, figure in now.items() if sent.get(name) != figure}
    if not fresh:
        return
    history = read_json((run.trained if recipe.compress else run.model) / "history.json")
    state = TrainerState(global_step=history[-1]["step"])
    keep(trackers, run)
    for tracker in trackers:
        tracker.on_train_begin(options, state, TrainerControl())
        tracker.on_log(options, state, TrainerControl(), logs=dict(fresh))
        tracker.on_train_end(options, state, TrainerControl())
    write_json(run.path / SENT, now)


def _trackers(recipe: Recipe, options: TrainingArguments) -> list[Any]:
    """The callbacks of the trackers that a recipe names."""
    from transformers.integrations.integration_utils import get_reporting_integration_callbacks

    where = f"{recipe.name}.train.report_to"
    asked = [name for name in cast(list[str], options.report_to) if name != "none"]
    try:
        kinds = get_reporting_integration_callbacks(asked)
    except ValueError as error:
        raise RecipeError(where, str(error), "Write tensorboard, trackio or wandb") from None
    made: list[Any] = []
    for name, kind in zip(asked, kinds, strict=True):
        try:
            made.append(kind())
        except (RuntimeError, ImportError):
            raise DependencyError(where, f"{name} is not installed", f"Install it: pip install {name}") from None
    return made
