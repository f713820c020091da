"""adalora: its ranks go down to the budget, and every checkpoint can be read, whatever ranks were left in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hfrecipes import verbs
from hfrecipes.config import build
from hfrecipes.folder import read_json
from hfrecipes.recipe import Recipe
from hfrecipes.report import Report
from hfrecipes.strategies.adalora import Adalora
from tests.conftest import Open, sentiment, write_lines
from tests.contracts import accuracy
from tests.strategies.test_contract import CASES, FAMILIES, batch


@pytest.mark.parametrize(("family", "head"), CASES)
def test_the_budget_is_what_is_left_in_the_end(family: str, head: str, fresh: Open) -> None:
    strategy = Adalora(r=2, start_r=5)
    model = strategy.prepare(fresh(family, head), FAMILIES[family])
    [callback] = strategy.callbacks(model, 1)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    args, state, control = TrainingArguments("unused", use_cpu=True), TrainerState(max_steps=20), TrainerControl()
    callback.on_train_begin(args, state, control, model=model)
    for state.global_step in range(20):
        model.train()(**batch(head)).loss.backward()
        optimizer.step()
        callback.on_optimizer_step(args, state, control, model=model, optimizer=optimizer)
        optimizer.zero_grad()
    found = [weight for name, weight in model.named_parameters() if "lora_E" in name]
    assert {len(each) for each in found} == {5}, "what is dropped stays as zeros"
    assert sum(int(each.count_nonzero()) for each in found) <= 2 * len(found)


def test_the_best_epoch_is_read_again_though_it_had_more_ranks(tiny_bert: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "data/train.jsonl", sentiment(96))
    write_lines(tmp_path / "data/test.jsonl", sentiment(16, start=96))
    train = {"learning_rate": 5e-3, "num_train_epochs": 4, "per_device_train_batch_size": 8, "bf16": False, "save_total_limit": 9}
    data = {"path": str(tmp_path / "data"), "validation_size": 0.25}
    values = {"recipe": "bert", "task": "text-classification", "data": data, "model": str(tiny_bert), "train": train}
    run = verbs.fit(build(Recipe, {**values, "strategy": "adalora"}), tmp_path / "run")
    epochs = [entry["eval_accuracy"] for entry in read_json(run.model / "history.json") if "eval_accuracy" in entry]
    assert epochs.index(max(epochs)) < 2, "the best is one before ranks are dropped, and the last has fewer"
    assert accuracy(run) == pytest.approx(Report.load(run.path).values["validation"]["accuracy"])
