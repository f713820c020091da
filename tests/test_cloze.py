"""Cloze: what a pattern makes of texts, the tokens of its words, and what is said where either is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from hfrecipes.cloze import Cloze
from hfrecipes.errors import DataError, ModelError, RecipeError
from hfrecipes.tokens import Tokens
from tests.conftest import make_text_tokenizer, make_tokenizer
from tests.contracts import make

MASK = 4
FILM = "{text} it was [MASK]"


def tokens(length: int = 16) -> Tokens:
    return Tokens.of(make_tokenizer(), length, None)


def made(text: str, **words: str) -> Cloze:
    return Cloze(text=text, words=words)


def read(cloze: Cloze, *rows: dict[str, str], length: int = 16) -> list[str]:
    """What the model reads of rows, in words."""
    return [" ".join(encoding.tokens) for encoding in cloze.encode(list(rows), tokens(length))]


def test_texts_stand_in_the_pattern_whatever_its_mask_is_called() -> None:
    for text in (FILM, "{text} it was <mask>"):
        assert read(made(text), {"text": "a fine film"}) == ["[CLS] a fine film it was [MASK] [SEP]"]
    assert read(made("{text} [MASK] {text_pair}"), {"text": "good", "text_pair": "bad"}) == ["[CLS] good [MASK] bad [SEP]"]


def test_a_text_that_looks_like_a_pattern_is_a_text() -> None:
    [found] = read(made(FILM), {"text": "bad [MASK] good [MA[MASK]SK] {text} {text_pair}"}, length=64)
    assert found.count("[MASK]") == 1
    assert found.endswith("it was [MASK] [SEP]")


@pytest.mark.parametrize("words", [3, 9, 10, 50, 5_000])
def test_a_long_text_is_cut_and_the_pattern_never(words: int) -> None:
    for text in (FILM, "it was [MASK] {text}", "{text} it was [MASK] a film"):
        frame = len(read(made(text), {"text": ""})[0].split())
        [found] = read(made(text), {"text": "good " * words})
        assert found.count("[MASK]") == 1
        assert found.count("good") == min(words, 16 - frame)
        assert found.replace("good ", "") == read(made(text), {"text": ""})[0]


def test_the_longer_of_two_texts_gives_more() -> None:
    [found] = read(made("{text} [MASK] {text_pair}"), {"text": "good " * 40, "text_pair": "bad bad"})
    assert (found.count("good"), found.count("bad")) == (9, 2)
    [found] = read(made("{text} [MASK] {text_pair}"), {"text": "good " * 40, "text_pair": "bad " * 90_000})
    assert (found.count("good"), found.count("bad")) == (6, 6)


def test_words_without_an_end_are_cut_by_characters() -> None:
    [found] = read(made(FILM), {"text": "x" * 1_000_000})
    assert found == "[CLS] [UNK] it was [MASK] [SEP]"


def test_a_label_without_a_word_stands_for_itself() -> None:
    vocabulary = make_tokenizer().get_vocab()
    assert made(FILM, n="bad").ids(["n", "good"], tokens(), "here") == [vocabulary["bad"], vocabulary["good"]]
    assert made(FILM).ids(["fine", "dull"], tokens(), "here") == [vocabulary["fine"], vocabulary["dull"]]


def test_a_word_is_what_stands_in_the_place_of_the_mask() -> None:
    texts = ["the film was good it was great", "a bad film it was awful", "great news", "awful news"] * 20
    part: Any = make("tokenizers", "bpe", {"bpe": {"vocab_size": 400}})
    found = Tokens.of(part.wrap(part.train(texts), "encoder", 64), 16, None)

    def chosen(text: str) -> list[str | None]:
        return [found.tokenizer.id_to_token(i) for i in made(text, n="awful").ids(["n", "great"], found, "here")]

    assert chosen(FILM) == ["Ġawful", "Ġgreat"]
    assert chosen("[MASK] {text}") == ["awful", "great"]


@pytest.mark.parametrize(
    ("words", "labels", "said"),
    [
        (
            {"n": "very bad"},
            ["n", "good"],
            r"here.words: the word 'very bad' of the label 'n' is 2 tokens, not one of the model's",
        ),
        ({}, ["good", "film.bad"], r"label 'film.bad' is 3 tokens.* Write a word that is: `words: \{film.bad: …\}`"),
        ({"n": "terrible"}, ["n", "good"], r"the word 'terrible' of the label 'n' is no word of the model's vocabulary"),
        ({"n": "[MASK]"}, ["n", "good"], r"the word '\[MASK\]' of the label 'n' is no word of the model's vocabulary"),
        ({"n": ""}, ["n", "good"], r"is 0 tokens"),
        ({"n": "Good"}, ["good", "n"], r"'Good' stands for two labels, 'good' and 'n'"),
        ({"m": "bad"}, ["n", "good"], r"here.words: there is no label 'm'. There are: n, good"),
    ],
)
def test_a_word_that_cannot_stand_for_a_label_is_one_line(words: dict[str, str], labels: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        made(FILM, **words).ids(labels, tokens(), "here")


@pytest.mark.parametrize("length", [4, 5, 6])
def test_a_pattern_without_room_for_a_text_is_one_line(length: int) -> None:
    said = f"here: leaves no room for the text among the {length} tokens"
    with pytest.raises(RecipeError, match=said):
        made("{text} it was a [MASK]").ids(["good", "bad"], tokens(length), "here")


def test_a_tokenizer_without_a_mask_is_one_line() -> None:
    for side in ("left", "right"):
        with pytest.raises(ModelError, match=r"its tokenizer has no mask token\. Take a model that was trained with one"):
            made(FILM).encode([{"text": "good"}], Tokens.of(make_text_tokenizer(side), 16, None))


def test_texts_and_places_that_do_not_fit_are_one_line() -> None:
    with pytest.raises(DataError, match="places for text, and a row has text and text_pair"):
        read(made(FILM), {"text": "good", "text_pair": "bad"})
    with pytest.raises(DataError, match=r"places for text and text_pair, and a row has text\."):
        read(made("{text} [MASK] {text_pair}"), {"text": "good"})
    asked: Any = {"text": 3}
    with pytest.raises(DataError, match="3 stands where a text should be"):
        read(made(FILM), asked)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{text} it was good", "has 0 masks. Write .MASK. once"),
        ("{text} [MASK] was <mask>", "has 2 masks"),
        ("it was [MASK]", r"has not one place for the text. Write \{text\} once"),
        ("{text} {text} [MASK]", "has not one place for the text"),
        ("{text_pair} [MASK]", "has not one place for the text"),
        ("{text} {title} [MASK]", r"has a place \{title\}. There are: \{text\}, \{text_pair\}"),
    ],
)
def test_a_pattern_that_is_none_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Cloze).validate_python(text)


def test_a_text_alone_is_a_pattern_and_labels_may_be_numbers() -> None:
    assert TypeAdapter(Cloze).validate_python(FILM) == made(FILM)
    given = {"text": FILM, "words": {0: "bad", 1: "good"}}
    assert TypeAdapter(Cloze).validate_python(given) == Cloze(text=FILM, words={"0": "bad", "1": "good"})
