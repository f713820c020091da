"""What every strategy must do, on every family."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hfrecipes.errors import RecipeError
from hfrecipes.family import Family, depths
from hfrecipes.part import find
from tests.conftest import Open
from tests.contracts import REFUSED, make, strategies

FAMILIES = {"bert": Family("bert", "encoder"), "gpt": Family("gpt", "decoder"), "t5": Family("t5", "encoder-decoder")}
HEADS = {
    "bert": ("text-classification", "token-classification"),
    "gpt": ("text-classification", "text-generation"),
    "t5": ("text-classification", "text2text-generation"),
}
CASES = [(family, head) for family in FAMILIES for head in HEADS[family]]
ADAPTERS = [name for name in strategies() if "keep_adapter" in {f.name for f in fields(find("strategies", name))}]


def batch(head: str) -> dict[str, torch.Tensor]:
    """Rows of several lengths with labels, as every family takes them."""
    ids = torch.tensor([[5, 9, 7, 11, 13, 1], [6, 8, 10, 1, 0, 0], [12, 14, 9, 8, 1, 0], [7, 7, 15, 6, 5, 1]])
    labels = torch.tensor([0, 1, 0, 1]) if head == "text-classification" else ids % 2
    if head in ("text-generation", "text2text-generation"):
        labels = ids.clone()
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


def answers(model: Any, head: str) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(**batch(head)).logits
    return found


def train(strategy: Any, model: Any, head: str, steps: int = 2) -> None:
    """Some steps as the Trainer takes them, with the callbacks of the strategy in the last epoch."""
    state = TrainerState(max_steps=10, epoch=99.0)
    args, control = TrainingArguments(output_dir="unused", use_cpu=True), TrainerControl()
    called = strategy.callbacks(model, 100)
    for callback in called:
        callback.on_train_begin(args, state, control, model=model)
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(steps):
        for callback in called:
            callback.on_step_begin(args, state, control, model=model)
        model.train()(**batch(head)).loss.backward()
        optimizer.step()
        for callback in called:
            callback.on_optimizer_step(args, state, control, model=model, optimizer=optimizer)
        optimizer.zero_grad()
        state.global_step += 1


@pytest.mark.parametrize("name", strategies())
@pytest.mark.parametrize(("family", "head"), CASES)
def test_a_strategy_trains_what_it_opens_and_leaves_a_plain_model(
    name: str, family: str, head: str, fresh: Open, tmp_path: Path
) -> None:
    strategy = make("strategies", name)
    plain = fresh(family, head)
    kind = type(plain)
    if (name, family) in REFUSED:
        with pytest.raises(RecipeError, match=REFUSED[name, family]):
            strategy.prepare(plain, FAMILIES[family])
        return
    model = strategy.prepare(plain, FAMILIES[family])
    before = {key: (weight.detach().clone(), weight.requires_grad) for key, weight in model.named_parameters()}
    train(strategy, model, head)
    moved = {key for key, weight in model.named_parameters() if not torch.equal(weight, before[key][0])}
    assert moved
    assert [key for key in moved if not before[key][1]] == []
    rates = strategy.rates(model)
    assert set(rates) <= set(before)
    trained = answers(model, head)
    done = strategy.finish(model)
    assert type(done) is kind
    assert all(weight.requires_grad for weight in done.parameters())
    torch.testing.assert_close(answers(done, head), trained, atol=1e-4, rtol=1e-4)
    done.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    torch.testing.assert_close(answers(again, head), answers(done, head), atol=1e-5, rtol=0)
    assert not torch.equal(answers(fresh(family, head), head), answers(done, head))


@pytest.mark.parametrize(
    "name", [name for name in strategies() if name not in ("feature_extraction", "head_then_full", "frozen_encoder")]
)
def test_a_new_head_learns_with_every_strategy(name: str, fresh: Open) -> None:
    model = fresh("bert", "text-classification")
    before = model.classifier.weight.detach().clone()
    strategy = make("strategies", name)
    wrapped = strategy.prepare(model, FAMILIES["bert"])
    train(strategy, wrapped, "text-classification")
    assert not torch.equal(strategy.finish(wrapped).classifier.weight, before)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize(("family", "head"), CASES)
def test_an_adapter_that_is_kept_gives_the_merged_model_over_its_base(
    name: str, family: str, head: str, fresh: Open, tmp_path: Path
) -> None:
    from peft import PeftModel

    strategy = make("strategies", name, {name: {"keep_adapter": True}})
    model = strategy.prepare(fresh(family, head), FAMILIES[family])
    train(strategy, model, head)
    strategy.save_extra(model, tmp_path)
    again = PeftModel.from_pretrained(fresh(family, head), str(tmp_path / "adapter"))
    torch.testing.assert_close(answers(again, head), answers(strategy.finish(model), head), atol=1e-4, rtol=1e-4)
    size = sum(file.stat().st_size for file in (tmp_path / "adapter").iterdir())
    assert size < 4 * sum(weight.numel() for weight in fresh(family, head).parameters()), "smaller than the model"


def test_an_adapter_is_kept_where_it_is_asked_for_alone(fresh: Open, tmp_path: Path) -> None:
    for name in [name for name in strategies() if (name, "bert") not in REFUSED]:
        strategy = make("strategies", name)
        strategy.save_extra(strategy.prepare(fresh("bert", "text-classification"), FAMILIES["bert"]), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("family", "head"), CASES)
def test_depths_run_from_the_embeddings_to_the_head(family: str, head: str, fresh: Open) -> None:
    model = fresh(family, head)
    found = depths(model)
    blocks = 4 if family == "t5" else 2
    assert list(found) == [name for name, _ in model.named_parameters()]
    assert set(found.values()) == set(range(blocks + 2))
    words = model.get_input_embeddings().weight
    assert {found[name] for name, weight in model.named_parameters() if weight is words} == {0}
    if head == "text-classification":
        assert {found[name] for name in found if "classifi" in name or "score" in name} == {blocks + 1}
