"""Duplicates: texts that stand in another split, to the letter or nearly, and those that do not."""

from __future__ import annotations

import random

import pytest

from hfrecipes.duplicates import duplicates, jaccard, plain

THERE = ["Where is my card?", "I want my money back for the second time this week", "What is the rate?", "где моя карта"]


@pytest.mark.parametrize("text", ["where is  my CARD?\n", " Where is my card? ", "ГДЕ моя карта"])
def test_case_and_white_space_do_not_hide_a_duplicate(text: str) -> None:
    [found] = duplicates([text], THERE, 0.9)
    assert plain(THERE[found.there]) == plain(text) and found.similarity == 1.0


def test_a_near_duplicate_is_found_with_its_true_similarity() -> None:
    text = "I want my money back for the second time this month"
    [found] = duplicates([text], THERE, 0.7)
    assert found.there == 1
    assert found.similarity == jaccard(plain(text), plain(THERE[1])) > 0.7
    assert duplicates([text], THERE, 0.95) == []


def test_other_texts_and_none_at_all_are_not_duplicates() -> None:
    assert duplicates(["The weather is fine today", ""], THERE, 0.5) == []
    assert duplicates([], THERE, 0.5) == duplicates(["a"], [], 0.5) == []


def test_nearly_all_of_many_near_duplicates_are_found() -> None:
    draw = random.Random(0)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrs"]
    there = [" ".join(draw.sample(words, 20)) for _ in range(300)]
    here = [f"{text} {draw.choice(words)}" for text in there]
    found = duplicates(here, there, 0.9)
    assert len(found) > 290
    assert all(pair.here == pair.there for pair in found)
