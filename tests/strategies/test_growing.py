"""Strategies at whose end many weights are zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes import verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.config import build
from hfrecipes.recipe import Recipe
from hfrecipes.report import Report
from hfrecipes.strategies._scores import Scored
from hfrecipes.zeros import matrices
from tests.contracts import make

GROWING = ("magnitude", "movement")


@pytest.mark.parametrize("name", GROWING)
def test_zeros_grow_fast_at_first_and_are_all_there_before_the_end(name: str) -> None:
    strategy = make("strategies", name, {name: {"sparsity": 0.8, "begin": 0.2, "end": 0.6}})
    assert [strategy.at(share) for share in (0.0, 0.2, 0.6, 1.0)] == [0.0, 0.0, pytest.approx(0.8), pytest.approx(0.8)]
    assert strategy.at(0.4) == pytest.approx(0.8 * (1 - 0.5**3))


@pytest.mark.parametrize("name", GROWING)
def test_an_end_before_the_beginning_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not before its end"):
        make("strategies", name, {name: {"begin": 0.5, "end": 0.5}})


@pytest.mark.parametrize("name", GROWING)
def test_a_run_ends_with_the_zeros_that_were_asked_for_and_still_learns(
    name: str, values: dict[str, Any], tmp_path: Path
) -> None:
    recipe = build(Recipe, {**values, "strategy": {name: {"sparsity": 0.6}}, "check": [], "export": []})
    run = verbs.fit(recipe, tmp_path)
    model = load_trained(run.model)
    every = list(matrices(model).values())
    assert sum(int((weight == 0).sum()) for weight in every) / sum(map(torch.numel, every)) == pytest.approx(0.6, abs=0.01)
    assert Report.load(run.path).scores["accuracy"] > 0.8


def test_a_weight_that_training_moves_towards_zero_loses_its_score() -> None:
    weights = torch.tensor([[1.0, -1.0, 2.0, -2.0]], requires_grad=True)
    scored = Scored(weights)
    towards = torch.tensor([[1.0, 1.0, -1.0, -1.0]])  # the gradient: a step against it shrinks the first and the last
    (scored(weights) * towards).sum().backward()
    lower = -scored.scores.grad  # type: ignore[operator]
    assert lower.tolist() == [[-1.0, 1.0, 2.0, -2.0]]
    scored.scores.data += lower
    scored.choose(0.5)
    assert (scored(weights) == 0).tolist() == [[True, False, False, True]]
