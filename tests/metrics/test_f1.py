"""f1: precision and recall in one figure."""

from __future__ import annotations

import pydantic
import pytest

from hfrecipes.metrics.f1 import F1

SAID, TRUE = ["a", "a", "b", "a"], ["a", "a", "b", "b"]


def test_macro_gives_each_class_the_same_weight() -> None:
    assert F1().score(SAID, TRUE) == {"f1_macro": pytest.approx((4 / 5 + 2 / 3) / 2)}


def test_micro_of_single_labels_is_the_accuracy() -> None:
    assert F1(average="micro").score(SAID, TRUE) == {"f1_micro": pytest.approx(0.75)}


def test_a_class_that_is_never_given_counts_as_zero_without_a_warning() -> None:
    assert F1().score(["a", "a"], ["a", "b"]) == {"f1_macro": pytest.approx(1 / 3)}


def test_an_unknown_average_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="macro"):
        F1(average="mean")  # type: ignore[arg-type]
