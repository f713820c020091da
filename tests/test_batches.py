"""Batches: which rows a step takes, whoever takes it."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from hfrecipes.batches import Batches, cuts

COUNT = 1003
LENGTHS = np.random.default_rng(7).integers(3, 60, COUNT).tolist()
ROWS = Dataset.from_dict({"id": list(range(COUNT)), "length": LENGTHS})


def made(size: int = 8, parts: int = 1, seed: int = 0, grouped: bool = True) -> Batches:
    """Batches over the rows."""
    return Batches(ROWS, LENGTHS, size, parts, seed, grouped)


def ids(batches: Batches) -> list[list[int]]:
    """The rows of each micro-batch."""
    return [[row["id"] for row in batches[i]] for i in range(len(batches))]


def padding(batches: Batches) -> int:
    """The token slots of an epoch that hold no token."""
    return sum(sum(max(taken) - length for length in taken) for taken in ([LENGTHS[i] for i in rows] for rows in ids(batches)))


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(("size", "parts"), [(8, 1), (4, 2), (2, 4), (7, 3), (2000, 1), (500, 4)])
def test_every_row_is_taken_once_an_epoch(size: int, parts: int, grouped: bool) -> None:
    taken = [i for rows in ids(made(size, parts, grouped=grouped)) for i in rows]
    assert len(taken) == COUNT
    assert sorted(taken) == list(range(COUNT))


def test_a_step_takes_the_same_rows_in_one_part_in_two_and_in_four() -> None:
    whole = [set(rows) for rows in ids(made(8, 1))]
    assert len(whole) == 126
    for size, parts in ((4, 2), (2, 4)):
        split = ids(made(size, parts))
        steps = [set().union(*split[i : i + parts]) for i in range(0, len(split), parts)]
        assert steps == whole


def test_no_micro_batch_is_larger_than_it_may_be_or_empty() -> None:
    sizes = [len(rows) for rows in ids(made(2, 4))]
    assert (min(sizes), max(sizes)) == (1, 2)


def test_another_epoch_has_another_order_and_the_first_comes_back() -> None:
    batches = made()
    first = ids(batches)
    batches.set_epoch(1)
    second = ids(batches)
    batches.set_epoch(0)
    assert ids(batches) == first != second
    assert {frozenset(rows) for rows in first} != {frozenset(rows) for rows in second}
    assert len(first) == len(second) == len(batches)


def test_the_order_depends_on_the_seed() -> None:
    assert ids(made(seed=0)) == ids(made(seed=0)) != ids(made(seed=1))


def test_rows_of_like_length_go_together() -> None:
    assert padding(made(grouped=True)) < 0.5 * padding(made(grouped=False))


def test_steps_of_rows_of_all_lengths_have_a_few_of_each() -> None:
    mixed = made(size=32)
    mixed.mix()
    steps = [[LENGTHS[row["id"]] for row in mixed[i]] for i in range(len(mixed))]
    assert sorted(row["id"] for i in range(len(mixed)) for row in mixed[i]) == list(range(COUNT))
    means = [float(np.mean(step)) for step in steps[:-1]]
    assert max(means) - min(means) < 0.6 * (max(LENGTHS) - min(LENGTHS)), "steps of like length have means from 3 to 59"
    assert float(np.mean([len(set(step)) for step in steps[:-1]])) < 16, "of 32 rows in plain random order 24 lengths differ"


def test_steps_are_not_in_the_order_of_their_lengths() -> None:
    longest = [max(LENGTHS[i] for i in rows) for rows in ids(made())[:-1]]
    assert longest != sorted(longest)
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.5


def test_a_row_is_given_with_all_its_columns() -> None:
    assert all(LENGTHS[row["id"]] == row["length"] for row in made()[0])
    assert len(made()[0]) == 8


@pytest.mark.parametrize("parts", [1, 4])
def test_steps_cut_by_tokens_keep_near_the_budget_and_their_number(parts: int) -> None:
    budget = 400
    batches = Batches(ROWS, LENGTHS, 8, parts, seed=0, tokens=budget)
    counts, epochs = [], []
    for epoch in range(3):
        batches.set_epoch(epoch)
        found = ids(batches)
        assert sorted(i for rows in found for i in rows) == list(range(COUNT))
        slots = [len(rows) * max(LENGTHS[i] for i in rows) for rows in found]
        assert max(slots) < budget * 1.35
        assert float(np.mean(slots)) > budget * 0.7
        counts.append(len(found))
        epochs.append({frozenset(rows) for rows in found})
    assert counts[0] == counts[1] == counts[2]
    assert counts[0] % parts == 0
    assert epochs[0] != epochs[1]


def test_a_row_longer_than_the_budget_is_a_step_of_its_own() -> None:
    assert cuts(np.array([3, 3, 3, 50, 60]), 10, 1) == [3, 4]
    assert cuts(np.array([3, 3, 3, 50, 60]), 10, 2) == [3]
    assert cuts(np.array([5]), 10, 4) == []
