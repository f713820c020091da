"""compress: the trained checkpoint made smaller, step by step, each step weighed."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes import energy, zeros
from hfrecipes.checkpoint import KEPT, load_trained, save_trained
from hfrecipes.compressors import Given
from hfrecipes.fast_path import taken
from hfrecipes.folder import Run, read_json, staged, write_json
from hfrecipes.models import Model, load_tokens
from hfrecipes.objectives import Objective
from hfrecipes.reshaping import describe
from hfrecipes.stages import log, stage
from hfrecipes.stages.train import collator, finished, head_for, trainer_for
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from hfrecipes.recipe import Recipe

ROWS, AT_ONCE = 512, 16
"""Rows that importance is computed on, and how many of them at a time."""
PASSES = 7
SPLITS = ("train", "validation")
OVER_TOKENS = ("text-generation", "text2text-generation", "fill-mask")
"""Heads whose labels are tokens."""


@stage(
    blocks=("compress", "task", "data", "train", "optimizer", "schedule", "fast_path", "batch_tokens", "early_stopping", "seed"),
    after=("prepare", "train"),
    outputs=("model", "compression.json"),
)
def compress(recipe: Recipe, run: Run) -> None:
    """Apply the compressors in their order to `trained/`, and save what comes out to `model/`."""
    model = load_trained(run.trained)
    # All steps are weighed under the allocator that a recovery sets for the rest of the process.
    with tempfile.TemporaryDirectory(dir=run.path, prefix=".compress.") as scratch, taken(recipe.fast_path, bf16=True):
        given = OfRun(recipe, run, Path(scratch))
        steps = [weigh("trained", model, model, given.middle())]
        for part in recipe.compress:
            log.info("compress: %s", part.name)
            model = part.apply(model, given)
            describe(model)
            steps.append(weigh(part.name, model, load_trained(run.trained), given.middle()))
        with staged(run.model) as folder:
            save_trained(folder, model, given.tokenizer, recipe.task, head_for(recipe))
            for name in ("rates.json", "history.json", energy.FILE):
                shutil.copyfile(run.trained / name, folder / name)
            if given.kept is not None:
                write_json(folder / KEPT, given.kept)
        found = trainer_for(again(recipe, run.model), given.rows).evaluate()
    write_json(run.model / "scores.json", {"validation": {key.removeprefix("eval_"): figure for key, figure in found.items()}})
    write_json(run.path / "compression.json", {"steps": steps, "zeros": zeros.shares(model)})


class OfRun(Given):
    """What the compressors of a run use: its rows in a copy below `scratch`, whose tokens they may number anew."""

    def __init__(self, recipe: Recipe, run: Run, scratch: Path) -> None:
        self.recipe, self.rows = recipe, Run(scratch)
        self.original = str(run.trained)
        self.kept: list[int] | None = None
        shutil.copytree(run.data, self.rows.data)
        self.tokenizer = self.rows.data / "tokenizer"

    def batches(self) -> Iterator[Mapping[str, torch.Tensor]]:
        config = read_json(Path(self.original) / "config.json")
        collate = collator(self.recipe, load_tokens(self.tokenizer, self.recipe.task.max_length, config))
        rows = self._split("train").shuffle(seed=self.recipe.seed)
        chosen = sorted(rows.select(range(min(ROWS, len(rows)))).to_list(), key=lambda row: row["length"])
        for start in range(0, len(chosen), AT_ONCE):
            yield collate(chosen[start : start + AT_ONCE])

    def middle(self) -> Mapping[str, torch.Tensor]:
        """The batch of the middling lengths."""
        batches = list(self.batches())
        return batches[len(batches) // 2]

    def loss(self, model: PreTrainedModel, batch: Mapping[str, Any]) -> torch.Tensor:
        return self.recipe.task.loss(model, batch)[0]

    def tokens(self) -> Iterator[list[int]]:
        for split in SPLITS:
            rows = self._split(split)
            for name in self._numbered(rows):
                yield from rows[name]

    def renumber(self, kept: Sequence[int]) -> None:
        fresh = {old: new for new, old in enumerate(kept)}
        unknown = fresh[load_tokens(Path(self.original), None, {}).pad_id]

        def number(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[int]]:
            return {name: [i if i < 0 else fresh.get(i, unknown) for i in row[name]] for name in names}

        for split in SPLITS:
            rows = self._split(split)
            found = rows.map(number, fn_kwargs={"names": self._numbered(rows)}, desc="new ids", keep_in_memory=True)
            shutil.rmtree(self.rows.data / split)
            found.save_to_disk(str(self.rows.data / split))
        self.kept = list(kept) if self.kept is None else [self.kept[i] for i in kept]

    def train(self, model: PreTrainedModel, changes: Mapping[str, Any]) -> PreTrainedModel:
        save_trained(self.rows.model, model, self.tokenizer, self.recipe.task, head_for(self.recipe))
        options = {**self.recipe.train, **changes.get("train", {})}
        recipe = dataclasses.replace(again(self.recipe, self.rows.model), **{**changes, "train": options})
        trainer = trainer_for(recipe, self.rows)
        with taken(recipe.fast_path, trainer.args.bf16):
            trainer.train()
        found = finished(recipe, trainer.accelerator.unwrap_model(trainer.model), trainer.zeros, self.rows.path)
        for folder in (self.rows.model, self.rows.checkpoints):
            shutil.rmtree(folder, ignore_errors=True)
        return found.cpu()

    def _split(self, name: str) -> Any:
        from datasets import load_from_disk

        return load_from_disk(str(self.rows.data / name), keep_in_memory=True)

    def _numbered(self, rows: Any) -> list[str]:
        """The columns of rows that hold ids of tokens."""
        labels = head_for(self.recipe) in OVER_TOKENS
        return [name for name in rows.column_names if name.endswith("input_ids") or (labels and name == "labels")]


def again(recipe: Recipe, checkpoint: Path) -> Recipe:
    """The recipe for a checkpoint that was trained: its head is there, and no strategy or objective of the first training is."""
    plain = {"head": None, "strategy": Strategy.choose("full"), "objective": Objective.choose("supervised"), "compress": ()}
    return dataclasses.replace(recipe, model=Model(path=str(checkpoint)), **plain)


def weigh(name: str, model: PreTrainedModel, trained: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What a model costs: its parameters and those of its blocks, how many are zero, MB (10^6 bytes) of its weights, also zipped,
    and the milliseconds of one pass over a batch, beside those of the trained model in the same minute."""
    from safetensors.torch import save

    from hfrecipes.family import blocks

    inside = tuple(f"{block}." for block in blocks(model))
    weights = {n: w.detach().contiguous() for n, w in model.named_parameters()}
    raw = save(weights)
    ms, before = in_turns((model, trained), batch)
    return {
        "name": name,
        "parameters": sum(w.numel() for w in weights.values()),
        "in_blocks": sum(w.numel() for n, w in weights.items() if n.startswith(inside)),
        "zeros": sum(int((w == 0).sum()) for n, w in weights.items() if n.startswith(inside)),
        "mb": len(raw) / 1e6,
        "zipped_mb": len(zlib.compress(raw, 1)) / 1e6,
        "ms": ms,
        "trained_ms": before,
    }


def in_turns(models: Sequence[PreTrainedModel], batch: Mapping[str, torch.Tensor]) -> list[float]:
    """Milliseconds of processor time that each model takes for a batch on one thread, the median of passes in turns: from one
    minute to the next a machine that others use as well was seen to take 1.4 times as long for the same, and two threads that
    wait for each other count as work."""
    import torch

    times: list[list[float]] = [[] for _ in models]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _ in range(1 + PASSES):
                for model, spent in zip(models, times, strict=True):
                    inputs = {key: tensor for key, tensor in batch.items() if key != "labels" or model.config.is_encoder_decoder}
                    started = time.process_time()
                    model.eval()(**inputs)
                    spent.append(1000 * (time.process_time() - started))
    finally:
        torch.set_num_threads(threads)
    return [statistics.median(each[1:]) for each in times]  # the first pass plans
