"""Zeros that are meant to be there stay; those that a layer was drawn with do not."""

from __future__ import annotations

import torch
from transformers import BertConfig, BertModel

from hfrecipes.zeros import apply, keeping, masks, matrices, shares, smallest


def model() -> BertModel:
    torch.manual_seed(0)
    return BertModel(BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32))


def test_a_matrix_of_zeros_alone_is_no_mask() -> None:
    made = model()
    first, second = list(matrices(made))[:2]
    made.get_parameter(first).data.zero_()
    made.get_parameter(second).data[0] = 0
    assert list(shares(made)) == [second]
    assert list(masks(made)) == [second]


def test_what_a_mask_does_not_keep_is_zero_behind_every_step() -> None:
    made = model()
    assert keeping(masks(made)) == []
    apply(made, smallest({name: weight.detach().abs() for name, weight in matrices(made).items()}, 0.5, whole=False))
    before = shares(made)
    [callback] = keeping(masks(made))
    for weight in made.parameters():
        weight.data += 1
    assert shares(made) == {}
    callback.on_optimizer_step(None, None, None, model=made)
    assert shares(made) == before


def test_equal_scores_lose_no_more_than_the_share() -> None:
    scores = {"a": torch.arange(10.0), "b": torch.arange(10.0, 20.0)}
    apart, together = (smallest(scores, 0.3, whole) for whole in (False, True))
    assert [int(mask.sum()) for mask in apart.values()] == [7, 7]
    assert [int(mask.sum()) for mask in together.values()] == [4, 10]
