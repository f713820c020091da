"""The trainer: the gradient of a step is the same however the step is cut up, and it is plain autograd's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from hfrecipes.batches import Batches
from hfrecipes.config import build
from hfrecipes.objectives import Training
from hfrecipes.objectives.supervised import Supervised
from hfrecipes.recipe import Recipe
from hfrecipes.stages.train import collator
from hfrecipes.tokens import Tokens
from hfrecipes.trainer import RecipeTrainer
from tests.conftest import sentiment
from tests.contracts import classifier

CONFIG = {
    "problem_type": "single_label_classification",
    "id2label": {0: "negative", 1: "positive"},
    "data_labels": [],
    "label2id": {"negative": 0, "positive": 1},
}
RATE = 0.1
Gradients = dict[str, torch.Tensor]


@pytest.fixture
def recipe(values: dict[str, Any]) -> Recipe:
    """The tiny recipe."""
    return build(Recipe, values)


@pytest.fixture
def rows(recipe: Recipe, tiny_bert: Path) -> Dataset:
    """Eight rows, six of one class, as the task encodes them: one step."""
    taken = [*sentiment(12)[::2], *sentiment(4)[1::2]]
    examples = recipe.task.examples(taken, Tokens.open(tiny_bert, None, None), CONFIG)
    return Dataset.from_list([{**example, "length": len(example["input_ids"])} for example in examples])


def moved(before: Gradients, model: Any) -> Gradients:
    """The gradient that one step of plain SGD went along."""
    return {name: (before[name] - weight.detach()) / RATE for name, weight in model.named_parameters()}


def weights(model: Any) -> Gradients:
    """A copy of the weights."""
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def trained(model: Any, recipe: Recipe, rows: Dataset, folder: Path, out: Path, size: int, parts: int) -> RecipeTrainer:
    """The Trainer behind one step of `parts` micro-batches of `size` rows."""
    from transformers import TrainingArguments

    options = TrainingArguments(
        output_dir=str(out),
        max_steps=1,
        gradient_accumulation_steps=parts,
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        optim="sgd",
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = RecipeTrainer(
        Supervised().bind(Training(model, recipe.family, recipe.task)),
        model=model,
        args=options,
        train_dataset=Batches(rows, rows["length"], size, parts, seed=0),
        data_collator=collator(recipe, Tokens.open(folder, None, None)),
    )
    trainer.train()
    assert trainer.state.global_step == 1
    return trainer


def stepped(recipe: Recipe, rows: Dataset, folder: Path, out: Path, size: int, parts: int) -> Gradients:
    """The gradient of that step."""
    model = classifier(folder).double()
    before = weights(model)
    trained(model, recipe, rows, folder, out, size, parts)
    return moved(before, model)


def plain(recipe: Recipe, rows: Dataset, folder: Path) -> Gradients:
    """The gradient of the mean loss over all rows, by autograd alone."""
    model = classifier(folder).double().train()
    model(**collator(recipe, Tokens.open(folder, None, None))(list(rows))).loss.backward()
    return {name: weight.grad.detach() for name, weight in model.named_parameters()}


@pytest.mark.parametrize(("size", "parts"), [(8, 1), (4, 2), (2, 4), (3, 3)])
def test_the_gradient_of_a_step_is_that_of_all_its_rows(
    size: int, parts: int, recipe: Recipe, rows: Dataset, tiny_bert: Path, tmp_path: Path
) -> None:
    expected = plain(recipe, rows, tiny_bert)
    found = stepped(recipe, rows, tiny_bert, tmp_path, size, parts)
    assert len(found) == len(expected) == 41
    assert max(float(gradient.abs().max()) for gradient in expected.values()) > 0.1
    apart = {name: float((found[name] - expected[name]).abs().max()) for name in expected}
    assert max(apart.values()) < 1e-6, max(apart, key=lambda name: apart[name])


@pytest.mark.parametrize(("size", "parts"), [(8, 1), (3, 3)])
def test_rows_a_second_are_counted_in_rows(
    size: int, parts: int, recipe: Recipe, rows: Dataset, tiny_bert: Path, tmp_path: Path
) -> None:
    *_, last = trained(classifier(tiny_bert).double(), recipe, rows, tiny_bert, tmp_path, size, parts).state.log_history
    assert last["train_samples_per_second"] == pytest.approx(len(rows) * last["train_steps_per_second"], rel=0.01)


def test_floating_point_operations_are_those_that_the_trainer_counts(tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    model = classifier(tiny_bert)
    options = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    ours, theirs = (kind(model=model, args=options) for kind in (partial(RecipeTrainer, lambda *_: None), Trainer))
    for shape in ((2, 3), (8, 16)):
        batch = {"input_ids": torch.zeros(shape, dtype=torch.long)}
        assert ours.floating_point_ops(batch) == theirs.floating_point_ops(batch) > 0
    assert ours.floating_point_ops({"pixel_values": torch.zeros(1)}) == 0


def test_the_loss_of_an_evaluation_is_the_mean_over_the_rows(
    recipe: Recipe, rows: Dataset, tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import TrainingArguments

    model = classifier(tiny_bert)
    collate = collator(recipe, Tokens.open(tiny_bert, None, None))
    options = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_eval_batch_size=4,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = RecipeTrainer(
        Supervised().bind(Training(model, recipe.family, recipe.task)),
        model=model,
        args=options,
        eval_dataset=rows,
        data_collator=collate,
    )
    with torch.inference_mode():
        expected = float(model.eval()(**collate(list(rows))).loss)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, abs=1e-6)
