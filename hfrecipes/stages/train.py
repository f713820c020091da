"""train: the strategy decides which weights, the objective what is minimised; the loop is the Trainer's."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes import distributed, energy, origin, verbalising, zeros
from hfrecipes.arguments import arguments, grouping
from hfrecipes.checkpoint import save_trained
from hfrecipes.config import dump
from hfrecipes.errors import RecipeError
from hfrecipes.fast_path import taken
from hfrecipes.folder import Run, read_json, staged, write_json
from hfrecipes.hardware import hardware
from hfrecipes.heads import ENTRY
from hfrecipes.lighter import first_token, in_effect, lighter
from hfrecipes.models import load_config, load_model, load_tokens
from hfrecipes.objectives import Training
from hfrecipes.optimization import build_optimizer, listed, unusual_rate
from hfrecipes.part import names
from hfrecipes.sharding import sharded, whole
from hfrecipes.stages import begun, log, stage
from hfrecipes.stages.endurance import endure
from hfrecipes.stages.scoring import as_tuple, scorer
from hfrecipes.stages.splitting import drawn
from hfrecipes.tasks import Task
from hfrecipes.tracking import keep

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, TrainerCallback, TrainingArguments

    from hfrecipes.recipe import Recipe
    from hfrecipes.tokens import Tokens
    from hfrecipes.trainer import RecipeTrainer


@stage(
    blocks=(
        "task",
        "data",
        "episodes",
        "model",
        "head",
        "strategy",
        "optimizer",
        "schedule",
        "objective",
        "train",
        "fast_path",
        "evaluate",
        "batch_tokens",
        "early_stopping",
        "non_finite",
        "seed",
    ),
    after=("prepare",),
    outputs=lambda recipe: (home(recipe),),
    everywhere=True,
    source=lambda recipe, run: recipe.objective.signature(),
)
def train(recipe: Recipe, run: Run) -> None:
    """Train, keep the best epoch by the first metric on the validation split, and save it to `model/`."""
    trainer = trainer_for(recipe, run)
    optimizer = trainer.create_optimizer()
    rates = listed(optimizer, trainer.args.learning_rate)
    unusual = unusual_rate(recipe.optimizer, recipe.strategy, recipe.family, trainer.args.learning_rate)
    if unusual and not recipe.model.new:  # what is usual is so for fine-tuning
        log.warning(unusual)
    meter = energy.meter_for(trainer.args.device, trainer.args.n_gpu, hardware()["cpu"])
    tries = run.checkpoints / "energy"
    with taken(recipe.fast_path, trainer.args.bf16) as settings, energy.metered(tries, meter):
        fused = bool(optimizer.defaults.get("fused"))
        light = in_effect(trainer.callback_handler.callbacks)
        grouped = grouping(recipe)[1] and not mixes(recipe, light)
        named = {"bf16": trainer.args.bf16, "group_by_length": grouped, "fused": fused}
        used = [*(name for name, on in named.items() if on), *settings, *light]
        log.info("fast path: %s", ", ".join(used) or "none of it")
        trainer = endure(recipe, run, trainer, partial(trainer_for, run=run), begun(run, "train"))
        final = trainer.evaluate()

    model = trainer.accelerator.unwrap_model(trainer.model)
    weights = whole(model) if sharded(model) else None

    def save() -> None:
        with staged(run.path / home(recipe)) as folder:
            found = model if weights is None else refilled(recipe, run, weights)
            trained = finished(recipe, found, trainer.zeros, folder)
            save_trained(folder, trained, run.data / "tokenizer", recipe.task, head_for(recipe))
            figures = {key.removeprefix("eval_"): figure for key, figure in final.items()}
            write_json(folder / "scores.json", {"validation": figures})
            write_json(folder / "rates.json", rates)
            write_json(folder / "history.json", trainer.state.log_history)
            write_json(folder / energy.FILE, energy.spent(tries))
        shutil.rmtree(run.checkpoints, ignore_errors=True)

    distributed.wait()
    distributed.on_main(save)


def home(recipe: Recipe) -> str:
    """The folder of a run that a training writes: `model`, or `trained` where that is made smaller."""
    return "trained" if recipe.compress else "model"


def share(source: Run, was: Recipe, run: Run, recipe: Recipe) -> None:
    """Begin a run whose training is that of another, `was` in `source`: its rows and its trained checkpoint are copied."""
    run.path.mkdir(parents=True)
    shutil.copytree(source.data, run.data)
    shutil.copytree(source.path / home(was), run.path / home(recipe))
    shutil.copyfile(source.recipe_file, run.recipe_file)
    (run.path / "stages").mkdir()
    for name in ("identity", "prepare"):
        shutil.copyfile(source.path / f"stages/{name}.json", run.path / f"stages/{name}.json")
    record = read_json(source.path / "stages/train.json")
    files = {name.replace(home(was), home(recipe), 1): size for name, size in record["files"].items()}
    write_json(run.path / "stages/train.json", {**record, "outputs": [home(recipe)], "files": files})


def refilled(recipe: Recipe, run: Run, weights: Mapping[str, torch.Tensor]) -> Any:
    """The model that a training began with, as one, with the weights of one that was in shards."""
    start = load_model(recipe.model, head_for(recipe), config_for(recipe, run))
    model = recipe.strategy.prepare(start, recipe.family)
    model.load_state_dict(weights, strict=False)  # what an objective learnt beside the model is left out
    return model


def finished(recipe: Recipe, model: Any, kept: Mapping[str, torch.Tensor], folder: Path) -> PreTrainedModel:
    """The plain model behind a training, with the zeros that it `kept`, and in `folder` what its strategy keeps beside it."""
    recipe.objective.release(model)
    recipe.strategy.save_extra(model, folder)
    if vars(model).pop("_original_forward", None):  # around the class's own, accelerate's autocast, which would go on
        del model.forward
    trained = recipe.strategy.finish(model)
    zeros.apply(trained, kept)
    if trained.can_generate():  # the Trainer turns the cache off; what is saved writes with it
        trained.config.use_cache = trained.generation_config.use_cache = True
    return trained


def trainer_for(recipe: Recipe, run: Run) -> RecipeTrainer:
    """The Trainer of a prepared run, with its model, rows and optimizer."""
    from datasets import load_from_disk
    from transformers import set_seed

    from hfrecipes.class_means import ClassMeans
    from hfrecipes.entries import BatchesWithEntries, collated
    from hfrecipes.features import Frozen
    from hfrecipes.solved_head import SolvedHead
    from hfrecipes.trainer import RecipeTrainer

    config = config_for(recipe, run)
    plain = config.to_dict()
    tokens = load_tokens(run.data / "tokenizer", recipe.task.max_length, plain)
    splits = {name: load_from_disk(str(run.data / name)) for name in ("train", "validation", "validation_rows")}
    lengths = list(splits["validation"]["length"])
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    splits["validation"] = splits["validation"].select(by_length, keep_in_memory=True)
    scored = recipe.task.scored_in_training and recipe.episodes is None
    metric = recipe.metrics(plain)[0]
    options = arguments(recipe, run.checkpoints, *((metric.figure, metric.lower_is_better) if scored else ("loss", True)))
    options.prediction_loss_only = not scored

    size, grouped = grouping(recipe)
    parts = distributed.processes() * options.gradient_accumulation_steps
    batches, held = drawn(recipe, splits, size, parts, grouped)
    if recipe.episodes is not None:
        options.per_device_eval_batch_size = 1
    check_head(recipe, min(map(len, batches.batches)))
    set_seed(recipe.seed)
    start = load_model(recipe.model, head_for(recipe), config)
    for number, compressor in enumerate(recipe.compress):
        compressor.foresee(start, [each.name for each in recipe.compress[:number]])
    origin.fill(start, recipe.origin, run.data)
    verbalising.fill(start, recipe.model, run.data)
    kept = zeros.masks(start)
    model = recipe.strategy.prepare(start, recipe.family)
    rows = BatchesWithEntries(batches)
    collate = collator(recipe, tokens)
    training = Training(model, recipe.family, recipe.task, tokens, rows, collate, options.bf16, options.device)
    training = replace(training, held=held, episodes=recipe.episodes)
    loss = recipe.objective.bind(training)
    left = tokens.padding_side == "left"
    collate = collated(collate, recipe.objective.entries, left)
    own = recipe.strategy.callbacks(model, options.num_train_epochs)
    optimizer = build_optimizer(recipe.optimizer, model, recipe.strategy.rates(model), options)
    epochs, blocks = math.ceil(options.num_train_epochs), partial(recipe.strategy.frozen_blocks, model)
    as_stored = recipe.task.reads_as_encoded and not recipe.objective.by_batch
    cut = as_stored and any(map(blocks, range(epochs)))
    read = batches.rows if as_stored and not cut else None
    plain_calls = not (cut or recipe.objective.looks_inside or recipe.objective.by_batch)
    light = lighter(model, optimizer, options, recipe.fast_path, read, tokens.pad_id, plain_calls)
    if mixes(recipe, in_effect(light)):
        batches.mix()
    callbacks = [*own, *patience(recipe, options), *zeros.keeping(kept), *light]
    first = None if recipe.objective.looks_inside else first_token(light)
    if recipe.strategy.solver:
        if options.fsdp or options.deepspeed:
            where = f"{recipe.name}.strategy.{recipe.strategy.name}.solver"
            raise RecipeError(where, "the last layer is in shards with fsdp and deepspeed", "Leave it out")
        callbacks.insert(0, SolvedHead(model, rows, held, collate, left, options.bf16, first))
    if cut:
        frozen = Frozen(model, blocks, epochs, collate, left, options.bf16, first)
        frozen.watch(rows)
        frozen.watch(held)
        loss, collate = frozen.loss(loss), frozen.batch()
        callbacks.append(frozen)
    callbacks += [*training.callbacks, ClassMeans(training)]
    step = f"{size * parts} rows" if recipe.batch_tokens is None else f"about {recipe.batch_tokens * parts} tokens"
    log.info("training on %s, %s a step", distributed.describe(options), step)
    made = RecipeTrainer(
        loss,
        model=model,
        args=options,
        train_dataset=rows,
        eval_dataset=held,
        data_collator=collate,
        compute_metrics=scorer(recipe, tokens, plain, splits["validation_rows"], splits["validation"]) if scored else None,
        schedule=recipe.schedule,
        zeros=kept,
        skip=recipe.non_finite == "skip",
        optimizers=(optimizer, None),
        callbacks=callbacks,
        preprocess_logits_for_metrics=lambda outputs, _: as_tuple(outputs)[: len(recipe.task.outputs)],
    )
    keep(made.callback_handler.callbacks, run)
    return made


def mixes(recipe: Recipe, light: Collection[str]) -> bool:
    """Whether a step has rows of all lengths, as the recipe does not say how they are drawn and padding is left out."""
    return "packed_rows" in light and "train_sampling_strategy" not in recipe.train and recipe.batch_tokens is None


def patience(recipe: Recipe, options: TrainingArguments) -> list[TrainerCallback]:
    """The callback that ends a training that gets no better. Raises RecipeError where nothing says what is better."""
    from transformers import EarlyStoppingCallback

    if recipe.early_stopping is None:
        return []
    if not options.load_best_model_at_end:
        what = "the best evaluation is not kept: `eval_strategy` and `save_strategy` differ or are `no`"
        raise RecipeError(f"{recipe.name}.early_stopping", what, "Take both out of `train:`, or write the same for both")
    return [EarlyStoppingCallback(recipe.early_stopping)]


def config_for(recipe: Recipe, run: Run) -> PreTrainedConfig:
    """The configuration of the model to train: the checkpoint's, with what was learned from the rows and the head."""
    learned = read_json(run.data / "facts.json")["learned"]
    return load_config(recipe.model, learned if recipe.head_taken is None else {**learned, ENTRY: dump(recipe.head_taken)})


def check_head(recipe: Recipe, smallest: int) -> None:
    """Refuse batch norm where padding would count, or where the smallest batch is one row."""
    head = recipe.head_taken
    if head is not None and head.pooling and recipe.task.per_token:
        what = f"reads one vector a text, and {recipe.task.name} answers for every token"
        raise RecipeError(f"{recipe.name}.head.{head.name}", what, "Take mlp, or linear without `pooling`")
    if head is None or not head.by_row:
        return
    where = f"{recipe.name}.head.{head.name}.batch_norm"
    if recipe.task.per_token or recipe.family.architecture == "decoder":
        raise RecipeError(where, "the head reads every token here, and padding would count", "Leave it out")
    if smallest == 1:
        raise RecipeError(where, "a batch of one row has no variance", "Write another per_device_train_batch_size")


def head_for(recipe: Recipe) -> str:
    """The head that the task needs on this family's architecture. Raises RecipeError with the tasks that it can do."""
    architecture = recipe.family.architecture
    if architecture not in recipe.task.heads:
        able = [name for name in names("tasks") if architecture in Task.find(name).heads]
        raise RecipeError(
            f"{recipe.name}.task", f"{recipe.family.name} cannot do {recipe.task.name}", f"It can do: {', '.join(able)}"
        )
    return recipe.task.heads[architecture]


def collator(recipe: Recipe, tokens: Tokens) -> Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]:
    """The task's collation as tensors: of rows, or of the one micro-batch that a training item is."""
    import torch

    def collate(items: Sequence[Any]) -> dict[str, torch.Tensor]:
        rows = items[0] if isinstance(items[0], list) else items
        return {name: torch.from_numpy(array) for name, array in recipe.task.collate(rows, tokens).items()}

    return collate
