"""exact_match: texts that are equal."""

from __future__ import annotations

import pytest

from hfrecipes.errors import DataError
from hfrecipes.metrics.exact_match import ExactMatch


def test_it_is_the_share_of_texts_that_equal_an_acceptable_one() -> None:
    said, true = ["42", "yes", "Paris", "no"], ["42", ["no", "yes"], ["London"], "yes"]
    assert ExactMatch().score(said, true) == {"exact_match": 0.5}


def test_white_space_at_the_ends_is_the_only_thing_forgiven() -> None:
    said = [" a b\n", "a  b", "A b", "a b."]
    assert ExactMatch().score(said, ["a b", "a b", "a b", "a b"]) == {"exact_match": 0.25}
    assert ExactMatch().score(["a"], [["\ta "]]) == {"exact_match": 1.0}


def test_a_part_of_a_text_is_not_a_match() -> None:
    assert ExactMatch().score(["a"], ["abc"]) == {"exact_match": 0.0}


def test_a_row_without_a_reference_is_refused() -> None:
    with pytest.raises(DataError, match="no reference"):
        ExactMatch().score(["a"], [[]])
