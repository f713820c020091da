"""Gradient accumulation: for every family, the gradient of a step does not depend on how its rows are cut up.

The rows differ in length, so that a mean of the micro-batches' means would be wrong (transformers#47688).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import PreTrainedModel, TrainingArguments

from hfrecipes.batches import Batches
from hfrecipes.config import build
from hfrecipes.models import load_config, load_model, load_tokens
from hfrecipes.objectives import Objective, Training
from hfrecipes.recipe import Recipe
from hfrecipes.stages.train import collator, head_for
from hfrecipes.tasks import Task
from hfrecipes.trainer import RecipeTrainer
from tests.contracts import REFUSED, make, strategies
from tests.tasks.test_contract import rows_of

CASES = [
    ("bert", "text-classification"), ("bert", "token-classification"), ("bert", "question-answering"),
    ("gpt", "text-classification"), ("gpt", "summarization"), ("t5", "text-classification"), ("t5", "translation"),
]  # fmt: skip
DRAWING_NOTHING = [
    (strategy, family)
    for strategy in strategies()
    for family in ("bert", "gpt", "t5")
    if strategy not in ("full", "mixout") and (strategy, family) not in REFUSED
]
RATE = 0.1
Gradient = dict[str, torch.Tensor]


class Case:
    """Eight rows of a task and a model without dropout that learns from them."""

    def __init__(self, family: str, task: str, folder: Path) -> None:
        dropout = {
            "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
            "gpt": ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
            "t5": ("dropout_rate",),
        }[family]
        if (family, task) == ("t5", "text-classification"):
            dropout = (*dropout, "classifier_dropout")
        model = {"path": str(folder), "config": dict.fromkeys(dropout, 0.0)}
        options = {"max_target_length": 8} if "source" in Task.find(task).columns else {}
        self.recipe = build(Recipe, {"recipe": family, "task": {task: options}, "data": {"path": "unused"}, "model": model})
        rows = Dataset.from_list(rows_of(task, 8))
        base = load_config(self.recipe.model)
        self.config = load_config(self.recipe.model, {"pad_token_id": 0, **self.recipe.task.learn(rows, base.to_dict())})
        self.tokens = load_tokens(folder, self.recipe.task.max_length, self.config.to_dict())
        examples = self.recipe.task.examples(list(rows), self.tokens, self.config.to_dict())
        self.rows = Dataset.from_list([{**example, "length": len(example["input_ids"])} for example in examples])

    def model(self) -> PreTrainedModel:
        """The same weights each time."""
        torch.manual_seed(0)
        return load_model(self.recipe.model, head_for(self.recipe), self.config).double()

    def teacher(self, folder: Path) -> Path:
        """A model with the same head and other weights."""
        model = self.model().float()
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.1 * torch.randn_like(weight)
        model.save_pretrained(folder)
        return folder

    def step(self, out: Path, size: int, parts: int, strategy: str = "full", objective: Any = "supervised") -> Gradient:
        """The gradient that one optimizer step of the Trainer went along."""
        chosen: Any = make("strategies", strategy)
        torch.manual_seed(0)
        model = chosen.prepare(self.model(), self.recipe.family).double()
        before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        options = TrainingArguments(
            output_dir=str(out), max_steps=1, gradient_accumulation_steps=parts, per_device_train_batch_size=1, optim="sgd",
            train_sampling_strategy="sequential", learning_rate=RATE, lr_scheduler_type="constant", max_grad_norm=0.0,
            save_strategy="no", report_to="none", remove_unused_columns=False, use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        trainer = RecipeTrainer(
            Objective.choose(objective).bind(Training(model, self.recipe.family, self.recipe.task)), model=model, args=options,
            train_dataset=Batches(self.rows, self.rows["length"], size, parts, seed=0),
            data_collator=collator(self.recipe, self.tokens), callbacks=chosen.callbacks(model, 10),
        )  # fmt: skip
        trainer.train()
        return {name: (before[name] - weight.detach()) / RATE for name, weight in model.named_parameters()}


@pytest.mark.parametrize(("family", "task"), CASES)
def test_a_step_is_the_same_in_one_two_and_four_parts(
    family: str, task: str, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path
) -> None:
    check(Case(family, task, {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]), tmp_path)


@pytest.mark.parametrize(("strategy", "family"), DRAWING_NOTHING)
def test_and_so_it_is_with_every_strategy_that_draws_nothing(
    strategy: str, family: str, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path
) -> None:
    check(Case(family, "text-classification", {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]), tmp_path, strategy)


@pytest.mark.parametrize(("family", "task"), CASES)
def test_and_with_a_teacher(family: str, task: str, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path) -> None:
    case = Case(family, task, {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family])
    losses = [{"soft_targets": {"temperature": 0.5}}, "hidden_states", {"relations": {"heads": 2}}]
    check(case, tmp_path, objective={"distill": {"teacher": str(case.teacher(tmp_path / "teacher")), "losses": losses}})


def check(case: Case, out: Path, strategy: str = "full", objective: Any = "supervised") -> None:
    """8 x 1, 4 x 2 and 2 x 4 rows give one gradient."""
    assert len(set(case.rows["length"])) > 2
    whole: Any = case.step(out, 8, 1, strategy, objective)
    assert max(float(gradient.abs().max()) for gradient in whole.values()) > 1e-4
    for size, parts in ((4, 2), (2, 4)):
        found = case.step(out, size, parts, strategy, objective)
        apart = {name: float((found[name] - whole[name]).abs().max()) for name in whole}
        assert all(gap < 1e-6 for gap in apart.values()), (size, parts, apart)
