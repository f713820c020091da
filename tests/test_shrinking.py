"""Smaller models made from a checkpoint: which blocks are kept, that they work, and that they are saved as what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from hfrecipes.errors import ModelError
from hfrecipes.family import auto_class, blocks, stacks
from hfrecipes.models import Model, load_config, load_model
from hfrecipes.shrinking import keep_layers, narrow
from tests.conftest import Open
from tests.strategies.test_contract import CASES, answers

SMALL: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 32, "num_hidden_layers": 6, "num_attention_heads": 2, "intermediate_size": 64},
    "distilbert": {"dim": 32, "n_layers": 6, "n_heads": 2, "hidden_dim": 64},
    "modernbert": {"hidden_size": 32, "num_hidden_layers": 6, "num_attention_heads": 2, "intermediate_size": 64},
    "gpt2": {"n_embd": 32, "n_layer": 6, "n_head": 2},
    "llama": {"hidden_size": 32, "num_hidden_layers": 6, "num_attention_heads": 2, "intermediate_size": 64},
    "qwen3": {"hidden_size": 32, "num_hidden_layers": 6, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16},
    "t5": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 6, "num_heads": 2},
    "mt5": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 6, "num_heads": 2},
}  # fmt: skip
SPECIAL = {
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "cls_token_id": 2,
    "sep_token_id": 1,
    "decoder_start_token_id": 0,
}


@pytest.mark.parametrize("kind", SMALL)
def test_every_second_block_is_kept_and_the_model_is_loaded_as_it_was_saved(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(kind, vocab_size=64, **SPECIAL, **SMALL[kind])
    ).eval()
    names = blocks(model)
    first = names[: stacks(model)[0]]
    wanted = [next(model.get_submodule(name).parameters()) for name in first[::2]]
    keep_layers(model, 3)
    assert stacks(model) == [3] * len(stacks(model))
    kept = [next(model.get_submodule(name).parameters()) for name in blocks(model)[:3]]
    assert all(mine is its for mine, its in zip(kept, wanted, strict=True))
    ids = torch.tensor([[5, 6, 7, 1], [9, 8, 7, 1]])
    said = model(input_ids=ids).logits
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert stacks(again) == stacks(model)
    torch.testing.assert_close(again(input_ids=ids).logits, said)


def test_an_encoder_and_a_decoder_may_keep_different_numbers(tiny_t5: Path, tmp_path: Path) -> None:
    asked = Model(str(tiny_t5), layers=(2, 1))
    model: Any = load_model(asked, "text2text-generation", load_config(asked))
    assert stacks(model) == [2, 1]
    assert (model.config.num_layers, model.config.num_decoder_layers) == (2, 1)
    model.save_pretrained(tmp_path)
    assert stacks(auto_class("text2text-generation").from_pretrained(tmp_path)) == [2, 1]


@pytest.mark.parametrize(("family", "head"), [("gpt", "text-generation"), ("t5", "text2text-generation")])
def test_a_shortened_model_writes_with_its_cache_what_it_writes_without(family: str, head: str, fresh: Open) -> None:
    model = fresh(family, head).eval()
    block = blocks(model)[0]
    with torch.no_grad():  # the kept block is not the first of its stack
        for name, weight in model.named_parameters():
            if name.startswith(f"{block}."):
                weight.zero_()
    keep_layers(model, 1)
    ids = torch.tensor([[5, 9, 7, 11]])
    written = [model.generate(ids, max_new_tokens=6, do_sample=False, use_cache=cached).tolist() for cached in (True, False)]
    assert written[0] == written[1]


def test_a_narrow_model_is_fresh_and_has_heads_of_the_same_size(tiny_bert: Path) -> None:
    asked = Model(str(tiny_bert), width=16, layers=1)
    model: Any = load_model(asked, "text-classification", load_config(asked, {"num_labels": 3}))
    config = model.config
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (16, 1, 32)
    assert (config.num_hidden_layers, stacks(model)) == (1, [1])
    assert model.classifier.weight.shape == (3, 16)


@pytest.mark.parametrize(("family", "head"), CASES)
def test_every_family_can_be_made_narrow(family: str, head: str, fresh: Open) -> None:
    wide = fresh(family, head)
    config = wide.config
    narrow(config, 16)
    model = auto_class(head).from_config(config).eval()
    assert model.config.hidden_size == 16
    assert answers(model, head).shape == answers(wide, head).shape
    assert model.num_parameters() < wide.num_parameters()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": 3}, r"model\.layers: 3 of 2 blocks\. Write at most 2"),
        ({"layers": (1, 1)}, "two numbers for BertForSequenceClassification, which has one stack"),
        ({"width": 20}, r"heads of 16 units do not divide 20\. Write a multiple of 16"),
    ],
)
def test_a_size_that_cannot_be_had_is_refused(options: Any, said: str, tiny_bert: Path) -> None:
    asked = Model(str(tiny_bert), **options)
    with pytest.raises(ModelError, match=said):
        load_model(asked, "text-classification", load_config(asked))
