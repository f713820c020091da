"""Slices and perturbations: which rows are looked at apart, and how a text may be changed."""

from __future__ import annotations

import random

import pytest

from hfrecipes.perturbations import LONG, PERTURBATIONS
from hfrecipes.slices import per_class, slices

TEXTS = ["no", "it is 3 pm", "why not?", "это хорошо", "a much longer text than all the others", "!!"]


def test_rows_are_found_by_what_their_texts_are_like() -> None:
    found = slices(TEXTS, ["a", "b", "a", "a", "a", "a"])
    assert found["short texts"] == [0, 5] and found["long texts"] == [3, 4]
    assert found["with a negation"] == [0, 2] and found["with a number"] == [1] and found["questions"] == [2]
    assert found["script CYRILLIC"] == [3] and found["without a letter"] == [5]
    assert found["rare labels"] == found["label b"] == [1]
    assert "script LATIN" in found and all(found.values())


def test_numbers_and_lists_have_no_labels() -> None:
    assert not [name for name in slices(TEXTS, [0.5] * 6) if name.startswith("label")]
    assert per_class([0.5], [0.5]) == per_class([], []) == {}


def test_precision_and_recall_of_each_class() -> None:
    found = per_class(["a", "a", "b", "c"], ["a", "b", "b", "b"])
    assert found["a"] == {"precision": 0.5, "recall": 1.0, "rows": 1}
    assert found["b"] == {"precision": 1.0, "recall": 1 / 3, "rows": 3}
    assert set(found) == {"a", "b"}


@pytest.mark.parametrize("text", ["the film was really good today", "", "a", "7", "это"])
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_change_is_the_same_each_time_and_keeps_words_in_their_places_where_it_says_so(name: str, text: str) -> None:
    kind = PERTURBATIONS[name]
    changed = kind.change(text, random.Random(0))
    assert changed == kind.change(text, random.Random(0))
    if kind.word_by_word and kind.same:
        assert len(changed.split(" ")) == len(text.split(" "))


def test_changes_do_what_their_names_say() -> None:
    text, draw = "the film was really good 12 times.", random.Random(0)
    made = {name: kind.change(text, draw) for name, kind in PERTURBATIONS.items()}
    assert made["upper case"] == text.upper() and made["no full stop"] == text[:-1] and made["empty"] == ""
    assert made["negation"] == "the film was not really good 12 times."
    assert sorted(made["typo"]) == sorted(text) and made["typo"] != text
    assert len(made["very long"].split()) >= LONG
    assert made["other numbers"].startswith("the film was really good ") and made["other script"].isascii() is False
