"""mcc: Matthews' correlation."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import confusion_matrix, matthews_corrcoef

from hfrecipes.metrics.mcc import Mcc


def test_two_classes_by_the_formula_of_the_four_counts() -> None:
    said = ["cat"] * 6 + ["dog"] * 2 + ["cat"] * 1 + ["dog"] * 3
    true = ["cat"] * 8 + ["dog"] * 4
    assert Mcc().score(said, true) == {"mcc": pytest.approx((6 * 3 - 1 * 2) / (7 * 8 * 4 * 5) ** 0.5)}


def test_all_right_is_one_and_all_wrong_of_two_classes_is_minus_one() -> None:
    assert Mcc().score(["a", "b", "b"], ["a", "b", "b"]) == {"mcc": pytest.approx(1.0)}
    assert Mcc().score(["b", "a", "a"], ["a", "b", "b"]) == {"mcc": pytest.approx(-1.0)}


@pytest.mark.parametrize(("said", "true"), [("aaa", "aaa"), ("aaa", "aba"), ("aba", "aaa"), ("a", "b")])
def test_a_side_of_one_class_is_zero_without_a_warning(said: str, true: str) -> None:
    assert Mcc().score(list(said), list(true)) == {"mcc": 0.0}


def test_random_cases_equal_scikit_learn_and_the_published_definition() -> None:
    chance, cases = random.Random(0), 0
    while cases < 200:
        classes = "abcde"[: chance.randint(2, 5)]
        said, true = (chance.choices(classes, k=chance.randint(8, 60)) for _ in range(2))
        said, true = said[: len(true)], true[: len(said)]
        if len(set(said)) < 2 or len(set(true)) < 2:
            continue
        cases += 1
        found = Mcc().score(said, true)["mcc"]
        counts = confusion_matrix(true, said, labels=list(classes)).astype(float)
        total, right, rows, columns = counts.sum(), counts.trace(), counts.sum(axis=1), counts.sum(axis=0)
        spread = ((total**2 - columns @ columns) * (total**2 - rows @ rows)) ** 0.5
        assert found == pytest.approx(matthews_corrcoef(true, said), abs=1e-6)
        assert found == pytest.approx((right * total - rows @ columns) / spread, abs=1e-6)
    assert cases == 200
