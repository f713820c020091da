"""prepare: from a data set to rows that the model reads, and a recipe that can be repeated exactly."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes import config as yaml
from hfrecipes.arguments import check_arguments
from hfrecipes.data import cut, fingerprint, open_splits, take
from hfrecipes.errors import DataError
from hfrecipes.folder import Run, staged, write_json, write_text
from hfrecipes.models import load_config, load_tokenizer, load_tokens
from hfrecipes.stages import log, stage

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.recipe import Recipe
    from hfrecipes.tokens import Tokens


@stage(blocks=("task", "data", "model", "seed"), outputs=("data",), source=lambda recipe: recipe.data.signature())
def prepare(recipe: Recipe, run: Run) -> None:
    """Read, check, split and tokenize the rows of training and validation. The test split is opened, not read."""
    check_arguments(recipe)
    roles = recipe.task.columns
    splits = open_splits(recipe.data)
    rows = take(recipe.data, splits, recipe.data.train, roles)
    base = load_config(recipe.model)
    tokenizer = load_tokenizer(recipe.model)
    learned = recipe.task.learn(rows, base.to_dict())
    config = {**base.to_dict(), **learned}
    if recipe.data.validation in splits:
        train, validation = rows, take(recipe.data, splits, recipe.data.validation, roles)
    else:
        train, validation = cut(rows, recipe.data.validation_size, recipe.seed, recipe.task.stratify(config))
    if recipe.data.test in splits:
        take(recipe.data, splits, recipe.data.test, roles)
    else:
        log.info("there is no split '%s': the validation split is reported instead", recipe.data.test)
    print_of_rows = fingerprint(train, validation)
    if recipe.data.fingerprint not in (None, print_of_rows):
        raise DataError(
            "data.fingerprint",
            f"the rows of {recipe.data.path} are not those of the recipe",
            "Take the line out to train on the rows as they are",
        )
    with staged(run.data) as folder:
        tokenizer.save_pretrained(folder / "tokenizer")
        tokens = load_tokens(folder / "tokenizer", recipe.task.max_length, config)
        counts = {}
        for name, part in {"train": train, "validation": validation}.items():
            counts[name] = encode(part, recipe, tokens, config, folder / name)
        facts = {
            "learned": learned,
            "rows": {"train": len(train), "validation": len(validation)},
            "cut_off": counts,
            "max_length": tokens.max_length,
            "fingerprint": print_of_rows,
            "test_split": recipe.data.test in splits,
            "model_revision": getattr(base, "_commit_hash", None),
        }
        write_json(folder / "facts.json", facts)
    write_text(run.recipe_file, resolved(recipe, facts))


def encode(rows: Dataset, recipe: Recipe, tokens: Tokens, config: dict[str, Any], folder: Path) -> int:
    """Write rows with what the model reads of each, shortest first, and say how many were cut to the model's length."""

    def work(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        singles = [dict(zip(batch, entries, strict=True)) for entries in zip(*batch.values(), strict=True)]
        features = recipe.task.encode(singles, tokens, config)
        columns: dict[str, list[Any]] = {key: [f[key] for f in features] for key in features[0]}
        return {**columns, "length": [len(f["input_ids"]) for f in features]}

    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = rows.map(
            work,
            batched=True,
            cache_file_name=f"{scratch}/encoded.arrow",
            new_fingerprint=folder.name,
            desc=f"tokens of {folder.name}",
        )
        done.save_to_disk(folder)
        return sum(length >= tokens.max_length for length in done["length"])


def resolved(recipe: Recipe, facts: dict[str, Any]) -> str:
    """The recipe with everything pinned that a run has to be repeated from, as YAML."""
    from importlib.metadata import version

    values = recipe.dump()
    values["data"] = {**values["data"], "fingerprint": facts["fingerprint"]}
    if facts["model_revision"] and recipe.model.revision is None:
        values["model"] = {**values["model"], "revision": facts["model_revision"]}
    made = ", ".join(f"{name} {version(name)}" for name in ("hfrecipes", "transformers", "torch", "datasets", "onnxruntime"))
    return f"# Written by a run. Made with {made}.\n{yaml.to_yaml(values)}"
