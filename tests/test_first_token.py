"""The last block for the first token alone: the same answers, gradients and weights, and whole where something else is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification, BertForSequenceClassification

from hfrecipes import verbs
from hfrecipes.first_token import FirstToken
from hfrecipes.models import Model, load_config, load_model
from hfrecipes.objectives import Training
from hfrecipes.objectives._teacher import Teacher
from hfrecipes.tasks import Task
from tests.conftest import Open
from tests.strategies.test_contract import FAMILIES, batch
from tests.targets.test_first import CONFIGS, drawn
from tests.test_features import recipe

ROWS = {name: tensor for name, tensor in batch("text-classification").items() if name != "labels"}
LABELS = batch("text-classification")["labels"]


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """What a step would go by."""
    model.zero_grad()
    model(**ROWS, labels=LABELS).loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "albert"])
def test_answers_and_gradients_are_those_of_the_whole_block(name: str) -> None:
    model = drawn(CONFIGS[name][0])
    first = FirstToken(model)
    assert first.possible
    answers, steps = model(**ROWS).logits, gradients(model)
    first.begin()
    torch.testing.assert_close(model(**ROWS).logits, answers, atol=1e-5, rtol=1e-4)
    for weight, step in gradients(model).items():
        torch.testing.assert_close(step, steps[weight], atol=1e-4, rtol=1e-3)
    first.end()
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def computed(model: BertForSequenceClassification, **asked: Any) -> list[int]:
    """How many tokens the feed-forward of the last block reads in a call."""
    seen: list[int] = []
    inner = model.bert.encoder.layer[-1].intermediate
    whole = inner.forward
    inner.forward = lambda states: (seen.append(states.shape[1]), whole(states))[1]
    try:
        model(**ROWS, **asked)
        model.bert(**ROWS)
    finally:
        del inner.forward
    return seen


def test_tokens_that_something_else_reads_are_computed(fresh: Open) -> None:
    model = fresh("bert", "text-classification").eval()
    tokens = ROWS["input_ids"].shape[1]
    first = FirstToken(model)
    first.begin()
    assert computed(model) == [1, tokens]
    assert computed(model, output_hidden_states=True) == [tokens, tokens]
    first.end()
    assert computed(model) == [tokens, tokens]


def test_a_block_that_is_watched_is_whole(fresh: Open) -> None:
    model = fresh("bert", "text-classification").eval()
    first = FirstToken(model)
    first.begin()
    hook = model.bert.encoder.layer[-1].register_forward_hook(lambda module, given, output: None)
    assert computed(model) == [ROWS["input_ids"].shape[1]] * 2
    hook.remove()
    assert computed(model)[0] == 1


def test_a_call_that_fails_leaves_the_next_one_whole(fresh: Open) -> None:
    model = fresh("bert", "text-classification").eval()
    first = FirstToken(model)
    first.begin()
    with pytest.raises(ValueError, match=r"You (cannot|must) specify"):
        model(**ROWS, inputs_embeds=torch.zeros(1))
    assert not first.active


@pytest.mark.parametrize("kind", [AutoModelForTokenClassification, AutoModelForMaskedLM])
def test_a_head_that_reads_every_token_gets_them(kind: Any) -> None:
    assert not FirstToken(drawn(CONFIGS["bert"][0], kind)).possible


@pytest.mark.parametrize("zero", [False, True])
def test_a_head_over_the_mean_gets_every_token_even_where_its_weights_are_zero(zero: bool, tiny_bert: Path) -> None:
    from hfrecipes.heads import ENTRY

    config = load_config(Model(str(tiny_bert)), {"id2label": {0: "a", 1: "b"}, ENTRY: {"linear": {"pooling": "mean"}}})
    model = load_model(Model(str(tiny_bert)), "text-classification", config)
    if zero:
        with torch.no_grad():
            for weight in (weight for name, weight in model.named_parameters() if "classifier" in name):
                weight.zero_()
    assert not FirstToken(model).possible


@pytest.mark.parametrize(("family", "head"), [("gpt", "text-classification"), ("t5", "text-classification")])
def test_families_that_read_other_tokens_are_left_alone(family: str, head: str, fresh: Open) -> None:
    model = fresh(family, head)
    first = FirstToken(model)
    first.begin()
    assert not first.possible
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("strategy", ["full", "gradual_unfreezing", "lora"])
def test_a_training_gives_the_weights_of_one_with_whole_blocks(
    strategy: str, tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFRECIPES_FEATURES", str(tmp_path / "features"))
    found = {}
    for settings in (["first_token"], []):
        caplog.clear()
        with caplog.at_level("INFO", logger="hfrecipes"):
            made = dataclasses.replace(recipe(tmp_path, tiny_bert, strategy, "bert"), fast_path=tuple(settings))
            run = verbs.fit(made, tmp_path / "_".join(["run", *settings]))
        assert ("first_token" in caplog.text) is bool(settings)
        found[bool(settings)] = load_file(run.model / "model.safetensors")
    for name, weight in found[False].items():
        torch.testing.assert_close(found[True][name], weight, atol=1e-5, rtol=1e-4)


def test_a_teacher_says_what_it_said(fresh: Open, tmp_path: Path) -> None:
    model = fresh("bert", "text-classification").eval()
    model.save_pretrained(tmp_path / "teacher")
    training = Training(fresh("bert", "text-classification"), FAMILIES["bert"], Task.choose("text-classification"))
    teacher = Teacher([Model(str(tmp_path / "teacher"))], training)
    torch.testing.assert_close(teacher.answer(ROWS).logits, model(**ROWS).logits, atol=1e-5, rtol=1e-4)
    assert computed(teacher.models[0].eval())[0] == 1
