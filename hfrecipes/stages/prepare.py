"""prepare: from a data set to rows that the model reads, and a recipe that can be repeated exactly."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes import config as yaml
from hfrecipes import origin, verbalising
from hfrecipes.data import cut, each, few, fingerprint, open_splits, some, take, unlabelled
from hfrecipes.errors import DataError, ModelError, RecipeError, blamed
from hfrecipes.folder import Run, read_json, staged, write_json, write_text
from hfrecipes.inference.predictor import Predictor
from hfrecipes.models import Model, load_config, load_tokenizer, load_tokens, save_tokenizer
from hfrecipes.stages import log, stage
from hfrecipes.stages.splitting import by_classes
from hfrecipes.tokenization import Texts, columns_of_texts
from hfrecipes.tokens import PROMPT, positions
from hfrecipes.vectors import Corpus

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from hfrecipes.cloze import Cloze
    from hfrecipes.recipe import Recipe
    from hfrecipes.tokens import Tokens


@stage(
    blocks=("task", "data", "episodes", "model", "tokenizer", "seed"),
    outputs=("data",),
    source=lambda recipe, run: [
        recipe.data.signature(),
        yaml.dump(recipe.strategy) if recipe.strategy.extends else None,
        recipe.data.labelled is not None and recipe.objective.reads_unlabelled,
        teacher_print(recipe),
        *([yaml.dump(recipe.origin), recipe.origin.signature()] if recipe.origin else []),
    ],
)
def prepare(recipe: Recipe, run: Run) -> None:
    """Read, check, split and tokenize the rows of training and validation. The test split is opened, not read."""
    from datasets import load_from_disk

    splits = open_splits(recipe.data)
    base = load_config(recipe.model)
    train, validation, rest, learned = parts(recipe, splits, base.to_dict())
    train = with_others(recipe, train, rest)
    tokenizer = tokenizer_for(recipe, train)
    learned |= vocabulary(recipe, tokenizer, base) | recipe.strategy.extend(tokenizer)
    config = load_config(recipe.model, learned).to_dict()
    if recipe.data.test in splits:
        take(recipe.data, splits, recipe.data.test, recipe.task.columns)
    else:
        log.info("there is no split '%s': the validation split is reported instead", recipe.data.test)
    print_of_rows = fingerprint(train, validation)
    check_fingerprint(recipe, print_of_rows)
    with staged(run.data) as folder:
        save_tokenizer(tokenizer, folder / "tokenizer")
        tokens = load_tokens(folder / "tokenizer", recipe.task.max_length, config)
        check_prompt(recipe, learned, tokens)
        if recipe.task.pattern is not None:
            learned |= with_pattern(recipe, recipe.task.pattern, learned, tokens, folder)
        counts = {}
        for name, part in {"train": train, "validation": validation}.items():
            counts[name] = encode(part, recipe, tokens, config, folder / name)
        validation.save_to_disk(folder / "validation_rows")
        if recipe.origin is not None:
            read = load_from_disk(str(folder / "train"))["input_ids"]
            origin.learn(recipe.origin, Corpus(list(read), tokens, config, recipe.seed), folder)
        facts = {
            "learned": learned,
            "rows": {"train": len(train), "validation": len(validation)},
            "cut_off": counts,
            "max_length": tokens.max_length,
            "fingerprint": print_of_rows,
            "test_split": recipe.data.test in splits,
            "model_revision": getattr(base, "_commit_hash", None),
            "data_revision": revision_of(splits[recipe.data.train]),
        }
        write_json(folder / "facts.json", facts)


def parts(
    recipe: Recipe, splits: DatasetDict, config: Mapping[str, Any], beside: Sequence[str] = ()
) -> tuple[Dataset, Dataset, Dataset, dict[str, Any]]:
    """The labelled rows of training and of validation, the training rows whose label is not to be seen, and what the labelled
    ones teach. Columns named in `beside` are kept, too."""
    data, task = recipe.data, recipe.task
    if recipe.episodes is not None:
        return by_classes(recipe, recipe.episodes, splits, config, beside)
    rows = take(data, splits, data.train, task.columns, beside)
    learned = task.learn(rows, config)
    rest = rows.select([])
    if data.labelled is not None:
        rows, rest = few(rows, data.labelled, recipe.seed, task.stratify(learned))
        learned = task.learn(rows, config)
    others = rest
    if data.per_class is not None:
        if data.labelled is not None:
            raise RecipeError(f"{recipe.name}.data.per_class", "`labelled` says something else", "Write one of them")
        rows, others = each(rows, data.per_class, recipe.seed, task.stratify(learned))
        learned = task.learn(rows, config)
    if data.validation in splits:
        return rows, take(data, splits, data.validation, task.columns, beside), rest, learned
    if data.per_class is not None and len(others):
        return rows, some(others, data, len(rows), recipe.seed, task.stratify(learned)), rest, learned
    return *cut(rows, data.validation_size, recipe.seed, task.stratify(learned)), rest, learned


def without_labels(recipe: Recipe, rest: Dataset) -> Dataset:
    """The rows without a label that the objective learns from. Raises RecipeError where the task cannot read them."""
    if not len(rest) or not recipe.objective.reads_unlabelled:
        return rest.select([])
    if not recipe.task.label_column:
        what = f"{recipe.task.name} reads no rows without a label"
        raise RecipeError(f"{recipe.name}.data.labelled", what, "Write `max_samples`, which leaves rows out")
    log.info("%s rows have no label: the teacher answers for them", f"{len(rest):,}")
    return unlabelled(rest, recipe.task.label_column)


def teacher_print(recipe: Recipe) -> str | None:
    """The fingerprint of the model that writes targets, where the data has one. Raises ModelError where it is not there."""
    with blamed(f"{recipe.name}.data.teacher"):
        return None if recipe.data.teacher is None else Model(recipe.data.teacher).fingerprint()


def with_others(recipe: Recipe, train: Dataset, rest: Dataset) -> Dataset:
    """The training rows and those of the `rest` that are learned from: without a label where the objective reads such rows, or
    with targets that the teacher of the data writes, which without `labelled` writes those of all training rows.
    Raises ModelError where the teacher does another task."""
    from datasets import Dataset, concatenate_datasets

    task, data, where = recipe.task, recipe.data, f"{recipe.name}.data"
    if data.teacher is None:
        return concatenate_datasets([train, without_labels(recipe, rest)])
    if not task.generates or task.by_likelihood:
        raise RecipeError(f"{where}.teacher", f"{task.name} has no texts that a teacher could write", "Take `objective: distill`")
    if data.labelled is not None and not len(rest):
        raise RecipeError(f"{where}.labelled", "leaves no row for the teacher to write", "Write less, or leave out `teacher`")
    teacher = Predictor.open(data.teacher, "pytorch")
    if teacher.task.name != task.name:
        raise ModelError(f"{where}.teacher", f"{data.teacher} does {teacher.task.name}", f"Give one that does {task.name}")
    own, rows = (train, list(rest)) if data.labelled is not None else (train.select([]), list(train))
    log.info("the teacher writes the targets of %s rows", f"{len(rows):,}")
    answers = teacher.answer([teacher.task.row(row) for row in rows])
    written = [task.taught(row, answer) for row, answer in zip(rows, answers, strict=True)]
    return concatenate_datasets([own, Dataset.from_list(written, features=train.features)])


def check_prompt(recipe: Recipe, learned: dict[str, Any], tokens: Tokens) -> None:
    """Refuse tokens in front of every text where the texts themselves are measured, and where they leave no room."""
    where, count = f"{recipe.name}.strategy.{recipe.strategy.name}", len(learned.get(PROMPT, ()))
    if count and recipe.task.by_likelihood:
        what = f"{recipe.task.name} is measured by how likely its texts are, and they have no prompt"
        raise RecipeError(where, what, "Take lora")
    if count > tokens.max_length // 2:
        what = f"{count} of the {tokens.max_length} tokens that the model reads leave no room for the text"
        raise RecipeError(f"{where}.tokens", what, "Write less")


def with_pattern(recipe: Recipe, pattern: Cloze, learned: dict[str, Any], tokens: Tokens, folder: Path) -> dict[str, Any]:
    """What the checkpoint knows of the words of a pattern. Raises RecipeError for a family without masks."""
    where = f"{recipe.name}.task.{recipe.task.name}.pattern"
    if recipe.family.architecture != "encoder":
        raise RecipeError(where, f"{recipe.name} has no masked words", "Take an encoder (`recipe: bert`), or leave it out")
    return verbalising.learn(pattern, recipe.model, tokens, learned, where, folder)


def tokenizer_for(recipe: Recipe, train: Dataset) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer, that of the model which the vectors come from, or one that is trained on the training rows
    where the recipe says so."""
    reads = recipe.origin.reads if recipe.origin else None
    if reads is not None:
        if recipe.tokenizer is not None:
            what = f"the vectors are those of the tokens of {reads.label}"
            raise RecipeError(f"{recipe.name}.tokenizer", what, "Leave it out")
        return load_tokenizer(reads, recipe.family)
    if (recipe.tokenizer is None) == bool(recipe.model.new):
        what = "a new model has no tokenizer of its own" if recipe.model.new else "a trained tokenizer needs a new model"
        raise RecipeError(f"{recipe.name}.tokenizer", what, "Write both `tokenizer:` and `model: {new: …}`, or neither")
    if recipe.tokenizer is None:
        return load_tokenizer(recipe.model, recipe.family)
    kind = recipe.family.architecture
    columns = [column for column in columns_of_texts(recipe.task) if column in train.column_names]
    made = recipe.tokenizer.train(Texts(train, columns), kind)
    length = recipe.task.max_length or positions(load_config(recipe.model).to_dict()) or 512
    return recipe.tokenizer.wrap(made, kind, length)


def vocabulary(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, base: PreTrainedConfig) -> dict[str, Any]:
    """What the tokenizer teaches about the model: the ids of special tokens, and for a new model the size of its embeddings."""
    ids = {"pad_token_id": tokenizer.pad_token_id, "mask_token_id": tokenizer.mask_token_id}
    if recipe.model.new:
        ids |= {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        return {**ids, "decoder_start_token_id": tokenizer.pad_token_id} if base.is_encoder_decoder else ids
    if len(tokenizer) > base.vocab_size:
        raise ModelError(
            "model",
            f"the tokenizer has {len(tokenizer)} tokens and the model embeddings for {base.vocab_size}",
            "Take the tokenizer that the model was trained with",
        )
    return ids


def encode(rows: Dataset, recipe: Recipe, tokens: Tokens, config: dict[str, Any], folder: Path) -> int:
    """Write what the model learns from rows, and say how many windows fill the model's whole length."""

    def work(batch: dict[str, list[Any]], numbers: list[int]) -> dict[str, list[Any]]:
        singles = [dict(zip(batch, entries, strict=True)) for entries in zip(*batch.values(), strict=True)]
        features = recipe.task.examples(singles, tokens, config)
        if not features:
            what = f"{len(singles)} rows of the {folder.name} rows have nothing to learn from, from row {numbers[0]} on"
            raise DataError("data", what, "Remove rows whose texts are empty")
        columns: dict[str, list[Any]] = {key: [f[key] for f in features] for key in features[0]}
        length = [len(f["input_ids"]) for f in features]
        return {**columns, "row": [numbers[f["row"]] for f in features], "length": length}

    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = rows.map(
            work,
            with_indices=True,
            batched=True,
            remove_columns=rows.column_names,
            desc=f"tokens of {folder.name}",
            cache_file_name=f"{scratch}/encoded.arrow",
            new_fingerprint=folder.name,
        )
        done.save_to_disk(folder)
        return sum(length >= tokens.max_length for length in done["length"])


def revision_of(rows: Dataset) -> str | None:
    """The commit of the Hub that rows were read from, which `datasets` notes with each file it fetched; None elsewhere."""
    found = [re.search(r"@([0-9a-f]{40})/", file) for file in rows.info.download_checksums or {}]
    return next((match.group(1) for match in found if match), None)


def check_fingerprint(recipe: Recipe, found: str) -> None:
    """Refuse rows that are not those that the recipe names."""
    if recipe.data.fingerprint not in (None, found):
        raise DataError(
            "data.fingerprint",
            f"the rows of {recipe.data.path} are not those of the recipe",
            "Take the line out to train on the rows as they are",
        )


def resolve(recipe: Recipe, run: Run) -> None:
    """Write `recipe.yaml`: the recipe with everything pinned that a run has to be repeated from."""
    from importlib.metadata import version

    facts = read_json(run.data / "facts.json")
    check_fingerprint(recipe, facts["fingerprint"])
    values = recipe.dump()
    values["data"] = {**values["data"], "fingerprint": facts["fingerprint"]}
    if facts["data_revision"] and recipe.data.revision is None:
        values["data"]["revision"] = facts["data_revision"]
    if facts["model_revision"] and recipe.model.revision is None:
        values["model"] = {**values["model"], "revision": facts["model_revision"]}
    made = ", ".join(f"{name} {version(name)}" for name in ("hfrecipes", "transformers", "torch", "datasets", "onnxruntime"))
    write_text(run.recipe_file, f"# Written by a run. Made with {made}.\n{yaml.to_yaml(values)}")
