"""Scoring: the recipe's metrics over what a model answers during its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hfrecipes.metrics import scores
from hfrecipes.tasks import Window, by_row

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.recipe import Recipe
    from hfrecipes.tokens import Tokens


def scorer(
    recipe: Recipe, tokens: Tokens, config: dict[str, Any], rows: Dataset, features: Dataset
) -> Callable[[Any], dict[str, float]]:
    """The recipe's metrics over the model's outputs for the windows `features` of `rows`, as the Trainer calls them."""
    task = recipe.task
    asked = list(rows)
    metrics = recipe.metrics(config)
    references = [task.reference(row, config) for row in asked]

    def score(outputs: Any) -> dict[str, float]:
        named = dict(zip(task.outputs, outputs.predictions, strict=True))
        windows = []
        for i, window in enumerate(features):
            length = len(window["input_ids"]) if task.per_token else None
            windows.append(Window(window, {name: array[i][:length] for name, array in named.items()}))
        found = zip(asked, by_row(asked, windows), strict=True)
        answers = [task.answer(row, read, tokens, config) for row, read in found]
        return scores(metrics, task.forms(answers, config, metrics), references)

    return score


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    """The model's outputs as the Trainer hands them on: one tensor alone, or several in the order of the model's own."""
    return outputs if isinstance(outputs, tuple) else (outputs,)
