"""mixout: equation 5 of its paper."""

from __future__ import annotations

import pytest
import torch

from hfrecipes.strategies._mixture import Mixture


def test_a_share_is_as_it_was_and_the_mean_is_the_weight() -> None:
    torch.manual_seed(0)
    before, weight = torch.randn(200, 200), torch.randn(200, 200)
    mixture = Mixture(before, 0.7).train()
    drawn = mixture(weight)
    assert float((drawn == before).float().mean()) == pytest.approx(0.7, abs=0.01)
    apart = torch.stack([mixture(weight) - weight for _ in range(100)])
    assert float(apart.std()) > 1.0
    assert abs(float(apart.mean())) < 0.01
    # of the rest: u + (w - u) / (1 - p)
    rest = drawn != before
    torch.testing.assert_close(drawn[rest], (before + (weight - before) / 0.3)[rest])


def test_in_evaluation_the_weight_is_itself() -> None:
    weight = torch.randn(3, 3)
    assert Mixture(torch.randn(3, 3), 0.9).eval()(weight) is weight
