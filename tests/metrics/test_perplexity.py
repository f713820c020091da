"""perplexity: exp of the mean loss of a token."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hfrecipes.errors import DataError
from hfrecipes.metrics.perplexity import Perplexity


def test_a_model_that_guesses_among_ten_words_has_a_perplexity_of_ten() -> None:
    assert Perplexity().score([[3 * math.log(10), 3], [5 * math.log(10), 5]], ["", ""]) == {"perplexity": pytest.approx(10)}


def test_tokens_weigh_the_same_and_rows_do_not() -> None:
    assert Perplexity().score([[0.0, 9], [10.0, 1]], [None, None]) == {"perplexity": pytest.approx(math.e)}


def test_a_row_without_tokens_counts_nothing_and_no_token_at_all_is_refused() -> None:
    assert Perplexity().score([[0.0, 0], [1.0, 1]], ["", "x"]) == {"perplexity": pytest.approx(math.e)}
    with pytest.raises(DataError, match="no token"):
        Perplexity().score([[0.0, 0]], [""])


def test_what_no_float_can_hold_is_infinite() -> None:
    assert Perplexity().score([[1e6, 1]], [""]) == Perplexity().score([[math.inf, 1]], [""]) == {"perplexity": math.inf}


def test_lower_is_better() -> None:
    assert Perplexity.lower_is_better


def test_random_cases_equal_the_definition() -> None:
    chance, cases = np.random.default_rng(0), 0
    for _ in range(200):
        rows = [-chance.exponential(2.0, int(chance.integers(1, 50))) for _ in range(int(chance.integers(1, 10)))]
        found = Perplexity().score([[float(-row.sum()), len(row)] for row in rows], [""] * len(rows))["perplexity"]
        assert found == pytest.approx(float(np.exp(-np.concatenate(rows).mean())), rel=1e-6)
        cases += 1
    assert cases == 200


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_exponential_of_torchs_cross_entropy(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 11, 30, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 30, (6, 11), generator=generator)
    targets[torch.rand(6, 11, generator=generator) < 0.3] = -100
    pairs = []
    for row, target in zip(logits, targets, strict=True):
        loss = torch.nn.functional.cross_entropy(row, target, ignore_index=-100, reduction="sum")
        pairs.append([loss.item(), int((target != -100).sum())])
    whole = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    assert Perplexity().score(pairs, [""] * 6)["perplexity"] == pytest.approx(whole.exp().item(), rel=1e-6)
