"""pearson: linear correlation."""

from __future__ import annotations

import pytest

from hfrecipes.metrics.pearson import Pearson


def test_pearson_is_minus_one_for_the_opposite_order() -> None:
    assert Pearson().score([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]) == {"pearson": pytest.approx(-1.0)}


def test_answers_that_do_not_vary_score_zero_without_a_warning() -> None:
    assert Pearson().score([1.0, 1.0], [1.0, 2.0]) == {"pearson": 0.0}
