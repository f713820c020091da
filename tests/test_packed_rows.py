"""Rows without padding: the same answers, gradients and weights, and as ever where padding or something else is read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    RobertaConfig,
    Trainer,
    TrainingArguments,
)

from hfrecipes import verbs
from hfrecipes.fast_path import SETTINGS
from hfrecipes.first_token import FirstToken
from hfrecipes.objectives import Objective
from hfrecipes.packed_attention import Plan, attend, hold
from hfrecipes.packed_rows import NAME, PackedRows
from hfrecipes.recipe import Recipe
from hfrecipes.stages.train import mixes, trainer_for
from tests.conftest import Open
from tests.strategies.test_contract import batch
from tests.targets.test_first import CONFIGS, TINY, drawn
from tests.test_features import recipe

ROWS = {name: tensor for name, tensor in batch("text-classification").items() if name != "labels"}
LABELS = batch("text-classification")["labels"]
POSITIONS = {**TINY, "max_position_embeddings": 66, "pad_token_id": 1}
GPT2 = GPT2Config(vocab_size=64, n_positions=64, n_embd=16, n_layer=2, n_head=2, pad_token_id=0)
MODELS: dict[str, tuple[Any, Any]] = {
    "bert": (CONFIGS["bert"][0], AutoModelForSequenceClassification),
    "bert, each token": (CONFIGS["bert"][0], AutoModelForTokenClassification),
    "bert, spans": (CONFIGS["bert"][0], AutoModelForQuestionAnswering),
    "distilbert": (CONFIGS["distilbert"][0], AutoModelForSequenceClassification),
    "roberta": (RobertaConfig(**POSITIONS), AutoModelForSequenceClassification),
    "electra": (ElectraConfig(**TINY, embedding_size=8), AutoModelForSequenceClassification),
    "gpt2": (GPT2, AutoModelForSequenceClassification),
    "gpt2, next token": (GPT2, AutoModelForCausalLM),
}


def flipped(rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same rows with their padding on the left."""
    kept = rows["attention_mask"].sum(1).tolist()
    width = rows["attention_mask"].shape[1]
    return {
        name: torch.stack([row.roll(width - length) for row, length in zip(tensor, kept, strict=True)])
        for name, tensor in rows.items()
    }


def passed(model: Any, rows: dict[str, torch.Tensor]) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """What a model answers where there is no padding, and what a step would go by."""
    model.zero_grad()
    found = [tensor for tensor in model(**rows).values() if torch.is_tensor(tensor)]
    answers = [tensor[rows["attention_mask"] == 1] if tensor.shape[:2] == rows["input_ids"].shape else tensor for tensor in found]
    sum(answer.sin().sum() for answer in answers).backward()
    return answers, {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_answers_and_gradients_are_those_of_padded_rows(name: str, left: bool) -> None:
    model = drawn(*MODELS[name], labels=2)
    model.config.use_cache = False
    rows = flipped(ROWS) if left else ROWS
    assert len(set(rows["attention_mask"].sum(1).tolist())) > 1
    packed = PackedRows(model)
    assert packed.possible
    answers, steps = passed(model, rows)
    packed.begin()
    before = packed.calls
    found, gradients = passed(model, rows)
    reads_padding = left and name in ("bert", "distilbert", "roberta", "electra")  # their heads read what comes first
    assert packed.calls == before + (not reads_padding)
    for answer, wanted in zip(found, answers, strict=True):
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-4)
    assert gradients.keys() == steps.keys()
    for weight, step in gradients.items():
        torch.testing.assert_close(step, steps[weight], atol=1e-4, rtol=1e-3)
    packed.end()
    assert not any(module._forward_pre_hooks or module._forward_hooks or "forward" in vars(module) for module in model.modules())
    assert model.config._attn_implementation == "sdpa"


def test_the_first_token_alone_leaves_a_packed_row() -> None:
    model = drawn(CONFIGS["bert"][0])
    answers, steps = passed(model, ROWS)
    lighter = FirstToken(model), PackedRows(model)
    for each in lighter:
        each.begin()
    inner, seen = model.bert.encoder.layer[-1].intermediate, []
    whole = inner.forward
    inner.forward = lambda states: (seen.append(tuple(states.shape[:2])), whole(states))[1]
    found, gradients = passed(model, ROWS)
    assert seen == [(1, len(ROWS["input_ids"]))]
    torch.testing.assert_close(found, answers, atol=1e-5, rtol=1e-4)
    for weight, step in gradients.items():
        torch.testing.assert_close(step, steps[weight], atol=1e-4, rtol=1e-3)


def test_calls_that_read_more_or_have_no_padding_are_as_they_were() -> None:
    model = drawn(CONFIGS["bert"][0])
    packed = PackedRows(model)
    packed.begin()
    packed.calls = 0
    model(input_ids=ROWS["input_ids"])
    model(input_ids=ROWS["input_ids"], attention_mask=torch.ones_like(ROWS["attention_mask"]))
    model.bert(**ROWS)
    hook = model.bert.encoder.layer[0].attention.register_forward_hook(lambda module, given, output: None)
    model(**ROWS)
    hook.remove()
    assert packed.calls == 0
    model(**ROWS)
    assert packed.calls == 1
    assert len(model(**ROWS, output_hidden_states=True).hidden_states) == 3
    assert packed.calls == 1


def test_a_call_that_fails_leaves_the_next_one_as_it_was() -> None:
    model = drawn(CONFIGS["bert"][0])
    packed = PackedRows(model)
    packed.begin()
    with pytest.raises(IndexError):
        model(input_ids=ROWS["input_ids"] + 10_000, attention_mask=ROWS["attention_mask"])
    assert model.config._attn_implementation == "sdpa"
    packed.end()
    assert model(**ROWS).logits.isfinite().all()


@pytest.mark.parametrize("name", ["albert", "deberta-v2", "modernbert", "llama"])
def test_models_that_tell_their_blocks_of_places_keep_the_padding(name: str) -> None:
    small = {name: entry for name, entry in TINY.items() if name != "pad_token_id"}
    config = LlamaConfig(**small, pad_token_id=0) if name == "llama" else CONFIGS[name][0]
    assert not PackedRows(drawn(config)).possible


def test_an_encoder_with_a_decoder_keeps_the_padding(fresh: Open) -> None:
    assert not PackedRows(fresh("t5", "text-classification")).possible


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_operator_has_the_gradients_that_finite_differences_have(causal: bool, dropout: float) -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    plan = Plan(mask.numpy() == 1)
    assert len(plan.take) == 32
    given = [torch.randn(1, 2, 32, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]

    def called(*parts: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return attend(torch.nn.Identity(), *parts, None, 0.7, dropout, is_causal=causal)[0][:, : plan.count]

    hold(plan)
    try:
        assert torch.autograd.gradcheck(called, given)
    finally:
        hold(None)


@pytest.mark.parametrize("length", [8, 200])
def test_sixteen_bits_are_near_to_thirty_two(length: int) -> None:
    plan = Plan(torch.ones(3, length).numpy() == 1)
    parts = [torch.randn(1, 4, len(plan.take), 16, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    hold(plan)
    try:
        whole, _ = attend(torch.nn.Identity(), *parts, None)
        rounded, _ = attend(torch.nn.Identity(), *(part.bfloat16() for part in parts), None)
    finally:
        hold(None)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded[:, : plan.count].float(), whole[:, : plan.count], atol=0.03, rtol=0.05)


def test_dropout_takes_its_share_away() -> None:
    plan = Plan(torch.ones(4, 64).numpy() == 1)
    value = torch.ones(1, 2, 256, 4)
    zero = torch.zeros(1, 2, 256, 4)
    hold(plan)
    try:
        kept, _ = attend(torch.nn.Identity(), zero, zero, value, None, 1.0, 0.25)
    finally:
        hold(None)
    assert float(kept.mean()) == pytest.approx(1, abs=0.02)
    assert float(kept[..., 0].std()) == pytest.approx((0.25 / 0.75 / 64) ** 0.5, rel=0.15)


@pytest.mark.parametrize(("family", "strategy"), [("bert", "full"), ("bert", "lora"), ("gpt", "full")])
def test_a_training_gives_the_weights_of_one_with_padding(
    family: str, strategy: str, tiny_bert: Path, tiny_gpt: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = {}
    base = recipe(tmp_path, {"bert": tiny_bert, "gpt": tiny_gpt}[family], strategy, family)
    for settings in (("packed_rows",), ()):
        caplog.clear()
        with caplog.at_level("INFO", logger="hfrecipes"):
            made = dataclasses.replace(
                base, fast_path=settings, train={**base.train, "train_sampling_strategy": "group_by_length"}
            )
            run = verbs.fit(made, tmp_path / "_".join(["run", *settings]))
        assert ("packed_rows" in caplog.text) is bool(settings)
        assert NAME not in json.dumps(json.loads((run.model / "config.json").read_text("utf-8")))
        found[bool(settings)] = load_file(run.model / "model.safetensors")
    for name, weight in found[False].items():
        torch.testing.assert_close(found[True][name], weight, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("written", [None, "group_by_length", "random"])
def test_where_rows_are_packed_a_step_has_rows_of_all_lengths_unless_the_recipe_says_otherwise(
    written: str | None, tiny_bert: Path, tmp_path: Path
) -> None:
    base = recipe(tmp_path, tiny_bert, "full", "bert")
    options = {"train_sampling_strategy": written} if written else {}
    made: Recipe = dataclasses.replace(base, fast_path=("packed_rows",), train={**base.train, **options})
    batches = trainer_for(made, verbs.begin(made, tmp_path / "run")).train_dataset.rows  # type: ignore[union-attr]
    assert batches.mixed is (written is None)
    assert batches.grouped is (written != "random")


def test_steps_that_are_cut_by_tokens_stay_of_like_length(tiny_bert: Path, tmp_path: Path) -> None:
    base = recipe(tmp_path, tiny_bert, "full", "bert")
    assert mixes(base, ["packed_rows"])
    train = {name: entry for name, entry in base.train.items() if name != "per_device_train_batch_size"}
    assert not mixes(dataclasses.replace(base, batch_tokens=100, train=train), ["packed_rows"])


def test_a_loss_that_reads_the_blocks_has_its_rows_padded(tiny_bert: Path, finished: Path, tmp_path: Path) -> None:
    taught = {"distill": {"teacher": str(finished), "losses": ["hidden_states"]}}
    base = recipe(tmp_path, tiny_bert, "full")
    made = dataclasses.replace(base, fast_path=SETTINGS, objective=Objective.choose(taught))
    trainer = trainer_for(made, verbs.begin(made, tmp_path / "run"))
    assert not any(isinstance(each, PackedRows) for each in trainer.callback_handler.callbacks)
    assert not trainer.train_dataset.rows.mixed  # type: ignore[union-attr]


def test_a_trainer_of_ones_own_takes_them_as_callbacks(fresh: Open, tmp_path: Path) -> None:
    found, calls = [], []
    rows = [{name: tensor[i] for name, tensor in {**ROWS, "labels": LABELS}.items()} for i in range(len(LABELS))]
    for packs in (True, False):
        model = fresh("bert", "text-classification")
        callbacks = [FirstToken(model), PackedRows(model)] if packs else []
        calls += [each.calls for each in callbacks if isinstance(each, PackedRows)]
        options = {"use_cpu": True, "num_train_epochs": 3, "save_strategy": "no", "report_to": "none", "optim": "sgd"}
        Trainer(model, TrainingArguments(str(tmp_path), **options), train_dataset=rows, callbacks=callbacks).train()
        calls += [each.calls for each in callbacks if isinstance(each, PackedRows)]
        found.append(model.state_dict())
    assert calls[1] == calls[0] + 3
    for name, weight in found[1].items():
        torch.testing.assert_close(found[0][name], weight, atol=1e-6, rtol=1e-5)
