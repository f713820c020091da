"""compress: the trained checkpoint made smaller, step by step, each step weighed."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes import zeros
from hfrecipes.checkpoint import load_trained, save_trained
from hfrecipes.compressors import Given
from hfrecipes.fast_path import taken
from hfrecipes.folder import Run, read_json, staged, write_json
from hfrecipes.models import Model, load_tokens
from hfrecipes.reshaping import describe
from hfrecipes.stages import log, stage
from hfrecipes.stages.train import collator, finished, head_for, trainer_for

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from hfrecipes.recipe import Recipe

ROWS, AT_ONCE = 512, 16
"""Rows that importance is computed on, and how many of them at a time."""
PASSES = 7


@stage(
    blocks=("compress", "task", "data", "train", "optimizer", "schedule", "fast_path", "batch_tokens", "early_stopping", "seed"),
    after=("prepare", "train"),
    outputs=("model", "compression.json"),
)
def compress(recipe: Recipe, run: Run) -> None:
    """Apply the compressors in their order to `trained/`, and save what comes out to `model/`."""
    model = load_trained(run.trained)
    given = Given(
        recipe.family, lambda: batches(recipe, run), lambda model, changes: retrain(recipe, run, model, changes), str(run.trained)
    )
    first = next(batches(recipe, run))
    steps = [weigh("trained", model, first)]
    for part in recipe.compress:
        log.info("compress: %s", part.name)
        model = part.apply(model, given)
        describe(model)
        steps.append(weigh(part.name, model, first))
    with staged(run.model) as folder:
        save_trained(folder, model, run.data / "tokenizer", recipe.task, head_for(recipe))
        for name in ("rates.json", "history.json"):
            shutil.copyfile(run.trained / name, folder / name)
    figures = trainer_for(again(recipe, run.model), run).evaluate()
    write_json(run.model / "scores.json", {"validation": {key.removeprefix("eval_"): figure for key, figure in figures.items()}})
    write_json(run.path / "compression.json", {"steps": steps, "zeros": zeros.shares(model)})


def retrain(recipe: Recipe, run: Run, model: PreTrainedModel, changes: Mapping[str, Any]) -> PreTrainedModel:
    """Train a model on the rows of the run, with `changes` to the recipe; its options of `train` come on top of the recipe's."""
    scratch = Run(run.path / "recovery")
    shutil.rmtree(scratch.path, ignore_errors=True)
    scratch.path.mkdir()
    (scratch.data).symlink_to(run.data.resolve())
    save_trained(scratch.model, model, run.data / "tokenizer", recipe.task, head_for(recipe))
    options = {**recipe.train, **changes.get("train", {})}
    derived = dataclasses.replace(again(recipe, scratch.model), **{**changes, "train": options})
    trainer = trainer_for(derived, scratch)
    with taken(derived.fast_path, trainer.args.bf16):
        trainer.train()
    found = finished(derived, trainer, scratch.path)
    shutil.rmtree(scratch.path)
    return found.cpu()


def again(recipe: Recipe, checkpoint: Path) -> Recipe:
    """The recipe for a checkpoint that was trained: its head is there."""
    return dataclasses.replace(recipe, model=Model(path=str(checkpoint)), head=None, compress=())


def batches(recipe: Recipe, run: Run) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of the run's own training rows with labels, the same each time."""
    from datasets import load_from_disk

    tokens = load_tokens(run.data / "tokenizer", recipe.task.max_length, read_json(run.trained / "config.json"))
    collate = collator(recipe, tokens)
    rows = load_from_disk(str(run.data / "train")).shuffle(seed=recipe.seed)
    lengths = list(rows["length"])[:ROWS]
    rows = rows.select(sorted(range(len(lengths)), key=lengths.__getitem__))
    names = [name for name in rows.column_names if name != "length"]
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        yield collate([dict(zip(names, entries, strict=True)) for entries in zip(*(part[name] for name in names), strict=True)])


def weigh(name: str, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What a model costs: its parameters and those of its blocks, how many are zero, MB (10^6 bytes) of its weights, also zipped,
    and the milliseconds of one pass over a batch, without and with its labels the same."""
    import torch
    from safetensors.torch import save

    from hfrecipes.family import blocks

    inside = tuple(f"{block}." for block in blocks(model))
    weights = {n: w.detach().contiguous() for n, w in model.named_parameters()}
    raw = save(weights)
    inputs = {key: tensor for key, tensor in batch.items() if key != "labels" or model.config.is_encoder_decoder}
    times = []
    with torch.inference_mode():
        model.eval()(**inputs)
        for _ in range(PASSES):
            started = time.process_time()
            model(**inputs)
            times.append(1000 * (time.process_time() - started))
    return {
        "name": name,
        "parameters": sum(w.numel() for w in weights.values()),
        "in_blocks": sum(w.numel() for n, w in weights.items() if n.startswith(inside)),
        "zeros": sum(int((w == 0).sum()) for n, w in weights.items() if n.startswith(inside)),
        "mb": len(raw) / 1e6,
        "zipped_mb": len(zlib.compress(raw, 1)) / 1e6,
        "ms": statistics.median(times),
    }
