"""Pipelines: one line for a task, also for those that transformers 5 lost (transformers#43256, #43325)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hfrecipes.errors import UserError
from hfrecipes.inference.predictor import Predictor
from hfrecipes.part import hint, names


def pipeline(task: str, path: str | Path, graph: str | None = None, **generation: Any) -> Predictor:
    """A predictor for `task` from a run, a checkpoint or a bundle: `pipeline("summarization", "runs/tldr")(texts)`.

    Raises UserError where the folder was made for another task.
    """
    if task not in names("tasks"):
        raise UserError("pipeline", f"unknown task '{task}'", hint(task, names("tasks")))
    predictor = Predictor.open(path, graph, **generation)
    if predictor.task.name != task:
        raise UserError(
            "pipeline", f"{path} was made for {predictor.task.name}, not {task}", f"Write pipeline('{predictor.task.name}', …)"
        )
    return predictor
