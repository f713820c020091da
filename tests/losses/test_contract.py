"""What every loss of a distillation must do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import kl_div, log_softmax, mse_loss

from hfrecipes.errors import RecipeError
from tests.contracts import every, make

LOSSES = every("losses")
OPTIONS = {"relations": {"heads": 2}, "top_k": {"k": 3}}
ROWS, TOKENS = 3, 5
MASK = (torch.arange(TOKENS) < torch.tensor([[5], [3], [1]])).long()
INSIDE = ("states", "embeddings", "projections", "attentions")


def loss(name: str, **options: Any) -> Any:
    return make("losses", name, {name: {**OPTIONS.get(name, {}), **options}})


def told(name: str, seed: int) -> Any:
    """What a loss reads of one model: answers to rows, or what happened in a block."""
    draw = torch.Generator().manual_seed(seed)
    shape = {"answers": (ROWS, 7), "top_k": (ROWS, 7), "attentions": (ROWS, 2, TOKENS, TOKENS)}
    found = [torch.randn(shape.get(loss(name).reads, (ROWS, TOKENS, 8)), generator=draw) for _ in range(3)]
    if loss(name).reads == "attentions":
        return found[0].masked_fill(MASK[:, None, None] == 0, -1e9).softmax(-1)
    return tuple(found) if loss(name).reads == "projections" else found[0]


def as_teacher(name: str, said: Any) -> Any:
    """What the loss gets of a teacher that says this."""
    if loss(name).reads != "top_k":
        return said
    logs, ids = said.log_softmax(-1).topk(OPTIONS["top_k"]["k"])
    return torch.cat([ids.float(), logs], -1)


def each(given: Any, change: Any) -> Any:
    """A change of all tensors of what was told."""
    return tuple(map(change, given)) if isinstance(given, tuple) else change(given)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_is_lost_where_the_student_is_the_teacher(name: str) -> None:
    said = told(name, 0)
    found = loss(name)(said, as_teacher(name, said), MASK)
    torch.testing.assert_close(found, torch.zeros(ROWS), atol=1e-6, rtol=0)
    assert (loss(name)(told(name, 1), as_teacher(name, said), MASK)[:2] > 1e-3).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_leads_to_the_teacher(name: str) -> None:
    mine = each(told(name, 1), lambda tensor: tensor.requires_grad_())
    its = as_teacher(name, told(name, 0))
    before = loss(name)(mine, its, MASK).sum()
    before.backward()
    nearer = each(mine, lambda tensor: (tensor - 0.01 * tensor.grad).detach())
    assert loss(name)(nearer, its, MASK).sum() < before


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_a_row_is_the_same_alone_and_in_a_batch(name: str) -> None:
    mine, its = told(name, 1), as_teacher(name, told(name, 0))
    together = loss(name)(mine, its, MASK)
    for row in range(ROWS):
        one = slice(row, row + 1)
        alone = loss(name)(each(mine, lambda t: t[one]), each(its, lambda t: t[one]), MASK[one])  # noqa: B023
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize("name", [name for name in LOSSES if loss(name).reads in INSIDE])
def test_padding_does_not_count(name: str) -> None:
    mine, its = told(name, 1), told(name, 0)

    def spoilt(tensor: torch.Tensor) -> torch.Tensor:
        place = (ROWS, 1, TOKENS, 1) if tensor.dim() == 4 else (ROWS, TOKENS, 1)
        return torch.where(MASK.view(place) == 1, tensor, torch.full_like(tensor, 0.5))

    wanted = loss(name)(mine, its, MASK)
    torch.testing.assert_close(loss(name)(each(mine, spoilt), its, MASK), wanted)
    torch.testing.assert_close(loss(name)(mine, each(its, spoilt), MASK), wanted)


@pytest.mark.parametrize("name", LOSSES)
def test_sixteen_bits_give_a_finite_loss(name: str) -> None:
    def half(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.bfloat16()

    its = as_teacher(name, told(name, 0))
    found = loss(name)(each(told(name, 1), half), its if name == "top_k" else each(its, half), MASK)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_moves_in_a_straight_line(name: str) -> None:
    assert loss(name).at(0.7) == 1.0
    assert [loss(name, weight=2.0, end_weight=1.0).at(share) for share in (0, 0.5, 1)] == [2.0, 1.5, 1.0]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_soft_targets_are_those_of_hinton(temperature: float) -> None:
    mine, its = told("soft_targets", 1).requires_grad_(), told("soft_targets", 0)
    found = loss("soft_targets", temperature=temperature)(mine, its, MASK)
    logs = [log_softmax(logits / temperature, -1) for logits in (mine, its)]
    wanted = kl_div(logs[0], logs[1], reduction="none", log_target=True).sum(-1) * temperature**2
    torch.testing.assert_close(found, wanted)


def test_at_a_high_temperature_the_gradient_is_that_of_the_difference_of_logits() -> None:
    """Hinton et al. 2015, equation 4, times the squared temperature: (student - teacher) / choices for centred logits."""
    mine, its = (told("soft_targets", seed) for seed in (1, 0))
    mine, its = mine - mine.mean(-1, keepdim=True), its - its.mean(-1, keepdim=True)
    mine.requires_grad_()
    loss("soft_targets", temperature=1000.0)(mine, its, MASK).sum().backward()
    torch.testing.assert_close(mine.grad, ((mine - its) / 7).detach(), atol=1e-3, rtol=1e-2)


def test_a_number_is_compared_by_its_square() -> None:
    mine, its = torch.randn(4, 1), torch.randn(4, 1)
    torch.testing.assert_close(loss("soft_targets")(mine, its, MASK).mean(), mse_loss(mine, its))


def test_the_mixture_lies_between_both_directions() -> None:
    mine, its = told("forward_kl", 1), told("forward_kl", 0)
    forward, reverse = (loss(name)(mine, its, MASK) for name in ("forward_kl", "reverse_kl"))
    for beta, limit in ((1e-4, forward * 1e-4), (1 - 1e-4, reverse * 1e-4)):
        torch.testing.assert_close(loss("jensen_shannon", beta=beta)(mine, its, MASK), limit, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_of_a_small_difference_the_mixture_sees_a_share(beta: float) -> None:
    its = told("forward_kl", 0)
    mine = its + 0.01 * told("forward_kl", 1)
    share = loss("jensen_shannon", beta=beta)(mine, its, MASK) / loss("forward_kl")(mine, its, MASK)
    torch.testing.assert_close(share, torch.full_like(share, beta * (1 - beta)), rtol=0.05, atol=0)


def test_the_rest_of_a_vocabulary_counts_as_one_choice() -> None:
    its = torch.tensor([[5.0, 1.0, 0.0, 0.0]])
    logs, ids = its.log_softmax(-1).topk(2)
    stored = torch.cat([ids.float(), logs], -1)
    top = loss("top_k", k=2)
    swapped = torch.tensor([[5.0, 1.0, -1.0, math.log(2 - math.exp(-1))]])  # the rest has as much as before, spread otherwise
    torch.testing.assert_close(top(swapped, stored, MASK), torch.zeros(1), atol=1e-6, rtol=0)
    assert top(torch.tensor([[5.0, 1.0, 9.0, 0.0]]), stored, MASK) > 1


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [("uniform", [(1, 2), (2, 4), (3, 6)]), ("last", [(3, 6)]), ([[1, 1], [3, 5]], [(1, 1), (3, 5)])],
)
def test_a_layer_map_says_who_learns_from_whom(layers: Any, wanted: list[tuple[int, int]]) -> None:
    assert loss("hidden_states", layers=layers).pairs([3], [6]) == wanted


def test_a_decoder_stands_behind_its_encoder() -> None:
    assert loss("hidden_states").pairs([2, 1], [2, 4]) == [(1, 1), (2, 2), (3, 6)]
    assert loss("relations").pairs([2, 1], [2, 4]) == [(2, 2), (3, 6)]


@pytest.mark.parametrize(
    ("layers", "sizes", "said"),
    [
        ([[1, 7]], ([3], [6]), "the teacher has no block 7. It has 6"),
        ([[4, 1]], ([3], [6]), "the student has no block 4. It has 3"),
        ("uniform", ([3], [3, 3]), "one model has an encoder and a decoder"),
    ],
)
def test_a_map_outside_of_a_model_is_refused(layers: Any, sizes: tuple[list[int], list[int]], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        loss("hidden_states", layers=layers).pairs(*sizes)


def test_heads_that_cannot_be_compared_are_refused() -> None:
    mine, its = {"hidden_size": 24, "num_attention_heads": 2}, {"hidden_size": 32, "num_attention_heads": 4}
    with pytest.raises(RecipeError, match=r"2 heads and the teacher 4. Take relations"):
        loss("attentions").check(mine, its)
    with pytest.raises(RecipeError, match="12 heads do not divide the widths 24 and 32"):
        loss("relations", heads=12).check(mine, its)
    loss("relations", heads=8).check(mine, its)
