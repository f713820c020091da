"""Strategies that open a model in stages, and those with a rate a block."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hfrecipes import verbs
from hfrecipes.config import build
from hfrecipes.errors import RecipeError
from hfrecipes.family import depths
from hfrecipes.optimization import parameter_groups
from hfrecipes.recipe import Recipe
from hfrecipes.strategies.feature_extraction import FeatureExtraction
from hfrecipes.strategies.gradual_unfreezing import GradualUnfreezing
from hfrecipes.strategies.head_then_full import HeadThenFull
from hfrecipes.strategies.layer_decay import LayerDecay
from tests.conftest import Open, sentiment, write_lines
from tests.strategies.test_contract import CASES, FAMILIES, batch


def opened(strategy: Any, model: Any, head: str, epoch: float) -> set[int]:
    """The depths whose weights a step moves at an epoch."""
    state = TrainerState(epoch=epoch)
    [callback] = strategy.callbacks(model, 100)
    callback.on_step_begin(TrainingArguments(output_dir="unused", use_cpu=True), state, TrainerControl(), model=model)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model.train()(**batch(head)).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    found = depths(model)
    return {found[name] for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}


@pytest.mark.parametrize(("family", "head"), CASES)
def test_exactly_the_blocks_of_a_stage_learn(family: str, head: str, fresh: Open) -> None:
    top = 5 if family == "t5" else 3
    for epoch in range(top + 2):
        model = GradualUnfreezing().prepare(fresh(family, head), FAMILIES[family])
        least = max(0, top - epoch)
        assert opened(GradualUnfreezing(), model, head, epoch) == set(range(least, top + 1)), f"epoch {epoch}"
        assert opened(GradualUnfreezing(), model, head, epoch + 0.9) == set(range(least, top + 1)), "in the middle of an epoch"


def test_stages_of_several_blocks_and_epochs(fresh: Open) -> None:
    strategy = GradualUnfreezing(epochs_per_stage=2, blocks_per_stage=2)
    model = strategy.prepare(fresh("bert", "text-classification"), FAMILIES["bert"])
    assert [min(opened(strategy, model, "text-classification", epoch)) for epoch in (0, 1, 2, 3, 4)] == [3, 3, 1, 1, 0]


def test_first_the_head_learns_then_everything(fresh: Open) -> None:
    model = HeadThenFull().prepare(fresh("bert", "text-classification"), FAMILIES["bert"])
    assert opened(HeadThenFull(), model, "text-classification", 0.5) == {3}
    assert opened(HeadThenFull(), model, "text-classification", 1.0) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("strategy", "epochs"), [(GradualUnfreezing(), 1), (GradualUnfreezing(epochs_per_stage=3), 5), (HeadThenFull(), 1)]
)
def test_too_few_epochs_are_refused(strategy: Any, epochs: int, fresh: Open) -> None:
    with pytest.raises(RecipeError, match="the last stage begins behind epoch"):
        strategy.callbacks(fresh("bert", "text-classification"), epochs)


@pytest.mark.parametrize("strategy", [GradualUnfreezing(), HeadThenFull(), FeatureExtraction()])
def test_a_body_without_a_head_is_refused(strategy: Any, fresh: Open) -> None:
    with pytest.raises(RecipeError, match="no head that could learn"):
        strategy.prepare(fresh("bert", "feature-extraction"), FAMILIES["bert"])


@pytest.mark.parametrize(("family", "head"), CASES)
def test_the_rate_of_every_group_is_the_formula(family: str, head: str, fresh: Open) -> None:
    model = fresh(family, head)
    found = depths(model)
    top = max(found.values())
    groups = parameter_groups(model, LayerDecay(decay=0.5).rates(model), 1e-3, 0.01)
    assert sum(len(group["names"]) for group in groups) == len(found)
    for group in groups:
        for name, weight in zip(group["names"], group["params"], strict=True):
            assert group["lr"] == 1e-3 * 0.5 ** (top - found[name])
            assert group["weight_decay"] == (0.01 if weight.ndim > 1 else 0.0)


def recipe(tmp_path: Path, model: Path, **more: Any) -> Recipe:
    write_lines(tmp_path / "data/train.jsonl", sentiment(96))
    values = {"recipe": "bert", "task": "text-classification", "data": str(tmp_path / "data"), "model": str(model), **more}
    return build(Recipe, values)


def test_a_run_lists_the_rates_of_its_groups(tiny_bert: Path, tmp_path: Path) -> None:
    strategy = {"gradual_unfreezing": {"decay": 0.5}}
    train = {"num_train_epochs": 3, "learning_rate": 1e-3, "bf16": False}
    run = verbs.fit(recipe(tmp_path, tiny_bert, strategy=strategy, train=train), tmp_path / "run")
    listed = json.loads((run.model / "rates.json").read_text())
    assert {group["factor"] for group in listed} == {1.0, 0.5, 0.25, 0.125}
    assert all(group["learning_rate"] == pytest.approx(1e-3 * group["factor"]) for group in listed)
    assert sum(len(group["parameters"]) for group in listed) == 41


def test_a_training_that_stops_in_a_stage_goes_on_in_it(tiny_bert: Path, tmp_path: Path) -> None:
    """Weights after a stop in the middle of the second stage and a resume are those of one training."""
    from hfrecipes.trainer import RecipeTrainer

    strategy = "gradual_unfreezing"
    options = {"num_train_epochs": 3, "learning_rate": 1e-3, "bf16": False, "per_device_train_batch_size": 8}
    saves = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "no"}
    whole = verbs.fit(recipe(tmp_path, tiny_bert, strategy=strategy, train={**options, **saves}), tmp_path / "whole")

    class Stopped(Exception):
        pass

    class Killed(RecipeTrainer):
        def training_step(self, *given: Any, **named: Any) -> Any:
            if self.state.global_step == 18:
                raise Stopped
            return super().training_step(*given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Killed)
        with pytest.raises(Stopped):
            verbs.fit(recipe(tmp_path, tiny_bert, strategy=strategy, train={**options, **saves}), tmp_path / "cut")
    assert list((tmp_path / "cut/checkpoints").glob("checkpoint-*/manifest.json"))
    resumed = verbs.fit(recipe(tmp_path, tiny_bert, strategy=strategy, train={**options, **saves}), tmp_path / "cut")
    from safetensors.torch import load_file

    ours, theirs = (load_file(run.model / "model.safetensors") for run in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
