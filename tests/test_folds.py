"""Folds: every row is held out once, classes stay in proportion, groups together, and time goes forward."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hfrecipes.errors import DataError
from hfrecipes.folds import Validate


def test_every_row_is_held_out_once_and_classes_are_in_proportion() -> None:
    classes = ["a"] * 60 + ["b"] * 30 + ["c"] * 5
    found = Validate(folds=5).cut(classes, None, None, 95, seed=0)
    assert sorted(i for _, held in found for i in held) == list(range(95))
    for learn, held in found:
        assert sorted([*learn, *held]) == list(range(95))
        assert Counter(classes[i] for i in held) == {"a": 12, "b": 6, "c": 1}


def test_the_same_seed_gives_the_same_folds_and_another_others() -> None:
    asked = Validate(folds=2)
    assert asked.cut(None, None, None, 20, 1) == asked.cut(None, None, None, 20, 1) != asked.cut(None, None, None, 20, 2)


def test_a_group_is_never_cut() -> None:
    groups = [i // 3 for i in range(30)]
    for learn, held in Validate(folds=4, group="customer").cut(["x", "y"] * 15, groups, None, 30, 0):
        assert held and not {groups[i] for i in learn} & {groups[i] for i in held}


def test_in_time_each_fold_is_answered_from_what_came_before() -> None:
    times = [f"2026-01-{day:02d}" for day in range(28, 0, -1)]
    found = Validate(folds=3, time="date").cut(None, None, times, 28, 0)
    assert len(found) == 3
    for learn, held in found:
        assert max(times[i] for i in learn) < min(times[i] for i in held)


@pytest.mark.parametrize(
    ("asked", "count", "said"),
    [
        ({"folds": 5}, 3, "5 folds need 5 rows or more, and there are 3"),
        ({"folds": 5, "group": "g"}, 10, "5 folds need 5 groups or more, and there are 2"),
        ({"folds": 5, "time": "t"}, 10, "5 folds in time need 12 rows or more, and there are 10"),
    ],
)
def test_too_few_rows_are_refused(asked: dict[str, Any], count: int, said: str) -> None:
    groups = [i % 2 for i in range(count)] if "group" in asked else None
    times = list(range(count)) if "time" in asked else None
    with pytest.raises(DataError, match=said):
        Validate(**asked).cut(None, groups, times, count, 0)


@pytest.mark.parametrize(
    ("given", "said"), [(1, "greater than 1"), ({"group": "a", "time": "b"}, "`group` and `time` do not go together")]
)
def test_a_block_that_cannot_be_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Validate).validate_python(given)


def test_the_number_alone_is_enough() -> None:
    assert TypeAdapter(Validate).validate_python(3) == Validate(folds=3)
