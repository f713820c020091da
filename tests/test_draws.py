"""The masks of dropout: their chances, what decides them, and PyTorch's own again afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import dropout, scaled_dot_product_attention

from hfrecipes import draws


@pytest.fixture
def quick() -> Iterator[None]:
    with draws.quick():
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("chance", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_mask_has_its_share_of_ones(chance: float, dtype: torch.dtype, quick: None) -> None:
    torch.manual_seed(0)
    mask = torch.empty(401, 503, dtype=dtype).bernoulli_(chance)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert float(mask.double().mean()) == pytest.approx(chance, abs=5e-3)


def test_numbers_of_a_mask_know_nothing_of_each_other(quick: None) -> None:
    torch.manual_seed(0)
    masks = torch.stack([torch.empty(300, 300).bernoulli_(0.9) for _ in range(4)])
    for shifted in (masks[1:], masks[:, 1:], masks[..., 1:], masks[..., 4:]):
        whole = masks[tuple(slice(0, size) for size in shifted.shape)]
        together = torch.corrcoef(torch.stack([whole.flatten(), shifted.flatten()]))[0, 1]
        assert abs(float(together)) < 0.01


def test_the_seed_and_the_state_of_pytorch_decide(quick: None) -> None:
    def masks() -> list[list[float]]:
        return [torch.empty(64).bernoulli_(0.5).tolist() for _ in range(3)]

    torch.manual_seed(0)
    first, state = masks(), torch.get_rng_state()
    later = masks()
    torch.manual_seed(0)
    assert masks() == first
    torch.set_rng_state(state)
    assert masks() == later
    torch.manual_seed(1)
    assert masks() != first
    assert first[0] != first[1]


def test_a_generator_of_its_own_decides_where_one_is_given(quick: None) -> None:
    state = torch.get_rng_state()
    one, two = (torch.empty(64).bernoulli_(0.5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_tensor_that_is_not_in_one_piece_is_filled(quick: None) -> None:
    torch.manual_seed(0)
    whole = torch.full((64, 64), 2.0)
    whole.t()[::2].bernoulli_(0.5)
    assert set(whole[:, ::2].unique().tolist()) == {0.0, 1.0}
    assert bool((whole[:, 1::2] == 2).all())
    assert torch.empty(0).bernoulli_(0.5).shape == (0,)


def test_dropout_and_attention_draw_with_it() -> None:
    query = torch.ones(2, 2, 8, 4, requires_grad=True)

    def drawn() -> list[torch.Tensor]:
        torch.manual_seed(0)
        return [dropout(torch.ones(50), 0.3), scaled_dot_product_attention(query, query, query, dropout_p=0.5).detach()]

    own = drawn()
    with draws.quick(), draws.quick():
        ours = drawn()
        assert sorted(set(ours[0].tolist())) == pytest.approx([0.0, 1 / 0.7])
        assert not any(map(torch.equal, own, ours))
    assert all(map(torch.equal, own, drawn()))


def test_gradients_pass_where_the_mask_is_one(quick: None) -> None:
    given = torch.ones(100, requires_grad=True)
    kept = dropout(given, 0.4)
    kept.sum().backward()
    assert given.grad is not None
    torch.testing.assert_close(given.grad, kept.detach())
