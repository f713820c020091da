"""spearman: the correlation of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from hfrecipes.metrics.spearman import Spearman


def test_without_ties_it_follows_from_the_differences_of_ranks() -> None:
    tests = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert Spearman().score(hours, tests) == {"spearman": pytest.approx(1 - 6 * 194 / (10 * 99))}


def test_only_the_order_counts() -> None:
    assert Spearman().score([1.0, 10.0, 1000.0], [0.1, 0.2, 0.3]) == {"spearman": pytest.approx(1.0)}
    assert Spearman().score([3.0, 2.0], [0.1, 0.2]) == {"spearman": pytest.approx(-1.0)}


@pytest.mark.parametrize(("said", "true"), [([0.1] * 3, [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [0.1] * 3), ([1.0], [2.0])])
def test_a_side_that_does_not_vary_is_zero_without_a_warning(said: list[float], true: list[float]) -> None:
    assert Spearman().score(said, true) == {"spearman": 0.0}


def test_random_cases_with_ties_equal_scipy_and_the_correlation_of_ranks() -> None:
    chance, cases = np.random.default_rng(0), 0
    while cases < 200:
        count = int(chance.integers(2, 40))
        said, true = chance.normal(size=count).round(int(chance.integers(0, 4))), chance.integers(0, 6, count).astype(float)
        if len(set(said)) < 2 or len(set(true)) < 2:
            continue
        cases += 1
        found = Spearman().score(said.tolist(), true.tolist())["spearman"]
        assert found == pytest.approx(float(spearmanr(said, true).statistic), abs=1e-6)
        assert found == pytest.approx(float(np.corrcoef(rankdata(said), rankdata(true))[0, 1]), abs=1e-6)
    assert cases == 200
