"""Arguments: the recipe's `train:` block on top of the library's defaults, as `transformers.TrainingArguments`."""

from __future__ import annotations

import dataclasses
import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from hfrecipes.errors import RecipeError
from hfrecipes.objectives import Objective
from hfrecipes.optimization import check_rate
from hfrecipes.part import names
from hfrecipes.value import hint

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from hfrecipes.recipe import Recipe

OURS = ("output_dir", "remove_unused_columns", "label_names", "length_column_name")
"""Arguments that the run decides, not the recipe."""
ELSEWHERE = {"label_smoothing_factor": "objective: {supervised: {label_smoothing: 0.1}}"}
"""Arguments that the Trainer heeds in its own loss only, and where the recipe has the same."""
INSTEAD = {
    "optimizer": {"optim"},
    "schedule": {"lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"},
    "batch_tokens": {"per_device_train_batch_size", "train_sampling_strategy"},
}
"""Arguments that a block of the recipe stands for."""
STRATEGIES = ("group_by_length", "random")
"""Values of `train_sampling_strategy`: rows of like length together, or plain random order."""

ALLOWED = "What may stand there is in the documentation of `transformers.TrainingArguments`"


def check_arguments(recipe: Recipe) -> None:
    """Refuse a key of `train:` that TrainingArguments does not have, and a value of another type."""
    from transformers import TrainingArguments

    fields = {field.name for field in dataclasses.fields(TrainingArguments)} - set(OURS)
    types = typing.get_type_hints(TrainingArguments)
    for key, given in recipe.train.items():
        where = f"{recipe.name}.train.{key}"
        if key not in fields:
            raise RecipeError(where, "unknown key", _close(key, fields))
        if key in ELSEWHERE and given:
            raise RecipeError(where, "the Trainer's own loss would have to be used", f"Write `{ELSEWHERE[key]}`")
        if isinstance(given, dict):
            continue
        try:
            pydantic.TypeAdapter(types[key], config={"arbitrary_types_allowed": True}).validate_python(given)
        except pydantic.ValidationError as error:
            what = f"{error.errors()[0]['msg']}, not {given!r:.60}".replace("Input should", "should")
            raise RecipeError(where, what, ALLOWED) from None
    grouping(recipe)
    check_episodes(recipe)
    for field, others in INSTEAD.items():
        if getattr(recipe, field) is not None and (given := sorted(others & set(recipe.train))):
            raise RecipeError(f"{recipe.name}.{field}", f"`train.{given[0]}` says something else", "Write one of them")
    check_rate(float(recipe.train.get("learning_rate", TrainingArguments.learning_rate)))
    arguments(recipe, Path("unused"), "loss", lower=True)


def check_episodes(recipe: Recipe) -> None:
    """Refuse episodes that nothing learns from, an objective that has none, and what says otherwise which rows are in a batch."""
    where = f"{recipe.name}.episodes"
    if recipe.objective.in_episodes and recipe.episodes is None:
        instead = "Write `episodes: {ways: 5, shots: 1, queries: 15}`"
        raise RecipeError(f"{recipe.name}.objective.{recipe.objective.name}", "learns from episodes", instead)
    if (recipe.episodes is not None or recipe.objective.together) and recipe.batch_tokens is not None:
        what = f"{recipe.objective.name} compares the rows of a batch, and says which"
        raise RecipeError(f"{recipe.name}.batch_tokens", what, "Leave it out")
    if recipe.episodes is None:
        return
    if not recipe.objective.by_batch:
        able = [name for name in names("objectives") if Objective.find(name).by_batch]
        raise RecipeError(where, f"{recipe.objective.name} does not learn from episodes", f"Take one of: {', '.join(able)}")
    data = {"data." + key: getattr(recipe.data, key) for key in ("labelled", "per_class", "teacher")}
    rows = {"train.per_device_train_batch_size": recipe.train.get("per_device_train_batch_size"), "validate": recipe.validate}
    for key, given in (data | rows).items():
        if given is not None:
            raise RecipeError(f"{recipe.name}.{key}", "episodes say which rows are read", "Leave it out")


def _close(key: str, fields: set[str]) -> str:
    """The arguments most like `key`: there are over a hundred, too many to list."""
    import difflib

    found = difflib.get_close_matches(key, fields, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(found)}?" if found else "It takes the arguments of transformers.TrainingArguments"


def arguments(recipe: Recipe, folder: Path, metric: str, lower: bool) -> TrainingArguments:
    """The arguments of a run: evaluate and save every epoch, keep the best by `metric`, and use the fast path that is exact.

    Defaults that differ from the Trainer's: bf16 autocast where the processor computes it natively, batches of like length (of
    all lengths where padding is left out, see `packed_rows`), no trackers, progress bars on a terminal only. The training set's
    items are whole micro-batches in the order to be taken (see `batches`), so the Trainer takes one item a device.
    """
    import torch
    from transformers import TrainingArguments

    values: dict[str, Any] = {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_total_limit": 2,
        "logging_steps": 0.02,
        "bf16": native_bf16(),
        "per_device_eval_batch_size": 64,
        "use_cpu": not torch.accelerator.is_available(),
        "report_to": "none",
        "disable_tqdm": not sys.stderr.isatty(),
        "seed": recipe.seed,
        "restore_callback_states_from_checkpoint": True,
        **recipe.train,
    }
    if values["save_strategy"] == values["eval_strategy"] != "no" and not recipe.strategy.last_is_best:
        best = {"load_best_model_at_end": True, "metric_for_best_model": metric, "greater_is_better": not lower}
        values = {**best, **values}
    fixed: dict[str, Any] = {
        "output_dir": str(folder),
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "train_sampling_strategy": "sequential",
        "per_device_train_batch_size": 1,
    }
    try:
        return TrainingArguments(**{**values, **fixed})
    except (ValueError, TypeError, ImportError) as error:
        raise RecipeError(f"{recipe.name}.train", str(error).strip().splitlines()[0], ALLOWED) from error


def grouping(recipe: Recipe) -> tuple[int, bool]:
    """Rows a micro-batch on each device, and whether rows of like length go together."""
    from transformers import TrainingArguments

    rows = recipe.train.get("per_device_train_batch_size", TrainingArguments.per_device_train_batch_size)
    strategy = recipe.train.get("train_sampling_strategy", STRATEGIES[0])
    if strategy not in STRATEGIES:
        raise RecipeError(f"{recipe.name}.train.train_sampling_strategy", f"unknown '{strategy}'", hint(strategy, STRATEGIES))
    if rows < 1:
        raise RecipeError(f"{recipe.name}.train.per_device_train_batch_size", f"is {rows}", "Write 1 or more")
    return int(rows), strategy == STRATEGIES[0]


def native_bf16() -> bool:
    """Whether the device computes bf16 in hardware; elsewhere autocast to bf16 is slower than fp32."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu.get_capabilities().get("avx512_bf16", False))
