"""What every optimizer must do, and what is said about its rates."""

from __future__ import annotations

import math

import pytest
import torch

from hfrecipes.errors import RecipeError
from hfrecipes.family import Family
from hfrecipes.optimization import check_rate, parameter_groups, unusual_rate
from hfrecipes.optimizers.lion import Lion
from hfrecipes.recipes.t5 import T5Recipe
from hfrecipes.strategies import Strategy
from tests.contracts import every, make

FULL = Strategy.choose("full")
BERT = Family("bert", "encoder")


@pytest.mark.parametrize("name", every("optimizers"))
def test_an_optimizer_goes_downhill_with_a_rate_a_group_and_leaves_frozen_weights(name: str) -> None:
    torch.manual_seed(0)
    part = make("optimizers", name)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    model[0].bias.requires_grad_(False)
    inputs, wanted = torch.randn(64, 8), torch.randn(64, 1)
    frozen = model[0].bias.clone()
    still = model[0].weight.detach().clone()
    built = part.build(parameter_groups(model, {"0.weight": 0.0}, part.usual[1], 0.0))
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.mse_loss(model(inputs), wanted)
        losses.append(float(loss.detach()))
        loss.backward()
        built.step()
        built.zero_grad()
    assert losses[-1] < losses[0]
    assert torch.equal(model[0].bias, frozen)
    assert torch.equal(model[0].weight, still), "a rate of 0 moves nothing"


@pytest.mark.parametrize("name", every("optimizers"))
def test_an_optimizer_goes_on_from_its_state(name: str) -> None:
    def steps(count: int, cut: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 4)
        built = make("optimizers", name).build(parameter_groups(model, {}, 1e-2, 0.1))
        for i in range(count):
            if i == cut:
                state = built.state_dict()
                built = make("optimizers", name).build(parameter_groups(model, {}, 1e-2, 0.1))
                built.load_state_dict(state)
            model(torch.full((2, 4), float(i % 3) - 1)).pow(2).sum().backward()
            built.step()
            built.zero_grad()
        return model.weight.detach()

    assert torch.equal(steps(6, None), steps(6, 3))


@pytest.mark.parametrize("name", every("optimizers"))
def test_an_optimizer_says_what_is_usual_and_by_which_source(name: str) -> None:
    part = make("optimizers", name)
    low, high = part.usual
    assert 0 < low < high < 1
    assert all((part.source, part.mechanism, part.best_for))
    assert unusual_rate(part, FULL, BERT, math.sqrt(low * high)) is None
    assert part.source in str(unusual_rate(part, FULL, BERT, 30 * high))
    assert "below the usual" in str(unusual_rate(part, FULL, BERT, low / 30))


def test_a_step_of_lion_is_algorithm_2() -> None:
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0]]))
    built = Lion(beta1=0.5, beta2=0.75).build([{"params": [weight], "lr": 0.1, "weight_decay": 0.5}])
    for gradient in ([1.0, -4.0], [-2.0, 1.0]):
        weight.grad = torch.tensor([gradient])
        built.step()
    # means before the steps: 0, then 0.25 of the gradient; signs of their mean with the gradient
    first = [1.0 * 0.95 - 0.1, -2.0 * 0.95 + 0.1]
    second = [first[0] * 0.95 + 0.1, first[1] * 0.95 - 0.0]
    assert weight.tolist()[0] == pytest.approx([second[0], second[1]])


def test_the_warning_names_times_range_and_source() -> None:
    said = unusual_rate(None, FULL, BERT, 1e-3)
    assert said is not None
    assert said.startswith("learning_rate 0.001 with adamw and full is about 32 times above the usual 2e-05 … 5e-05 (Devlin")
    assert unusual_rate(None, Strategy.choose("lora"), BERT, 1e-3) is None
    assert "arXiv:2106.09685" in str(unusual_rate(None, Strategy.choose("lora"), BERT, 1.0))


def test_what_is_usual_for_a_t5_is_more() -> None:
    family = T5Recipe.family
    assert unusual_rate(None, FULL, family, 1e-3) is None
    said = str(unusual_rate(None, FULL, family, 1e-1))
    assert "above the usual 0.0001 … 0.00025 (" in said
    assert said.endswith(f"; {family.rate_source})")


@pytest.mark.parametrize("rate", [0.0, -1e-5, float("nan"), float("inf")])
def test_a_rate_that_teaches_nothing_is_refused(rate: float) -> None:
    with pytest.raises(RecipeError, match="Write a number above 0"):
        check_rate(rate)
