"""Planning: which texts share a batch."""

from __future__ import annotations

import itertools
import random

import pytest

from hfrecipes.inference.planning import TOKEN_BUDGET, plan

LENGTHS = [random.Random(3).randint(1, 120) for _ in range(500)]


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("budget", [1, 100, TOKEN_BUDGET])
def test_every_text_is_in_one_batch(budget: int, equal: bool) -> None:
    planned = [position for batch in plan(LENGTHS, budget, equal) for position in batch]
    assert sorted(planned) == list(range(500))


def test_a_batch_stays_within_the_budget_and_is_as_full_as_it_can_be() -> None:
    batches = plan(LENGTHS)
    slots = [len(batch) * max(LENGTHS[i] for i in batch) for batch in batches]
    assert 10 < len(batches) < 100
    assert max(slots) <= TOKEN_BUDGET
    for batch, after in itertools.pairwise(batches):
        assert (len(batch) + 1) * LENGTHS[after[0]] > TOKEN_BUDGET


def test_shorter_texts_come_first_and_texts_of_one_length_keep_their_order() -> None:
    assert plan([5, 1, 5, 3]) == [[1, 3, 0, 2]]


def test_equal_batches_hold_one_length_only() -> None:
    assert plan([5, 1, 5, 3], equal=True) == [[1], [3], [0, 2]]
    assert all(len({LENGTHS[i] for i in batch}) == 1 for batch in plan(LENGTHS, equal=True))


def test_a_text_longer_than_the_budget_is_alone() -> None:
    assert plan([2, 900, 2, 901], budget=768) == [[0, 2], [1], [3]]


def test_no_texts_are_no_batches() -> None:
    assert plan([]) == []
