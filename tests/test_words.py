"""Words: neighbours and analogies by hand, and what is said about files and words that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hfrecipes.errors import DataError, UserError
from hfrecipes.words import Words, read_pairs, read_questions, read_vectors, write_vectors

NAMES = ["king", "queen", "man", "woman", "apple"]
TABLE = np.array([[1, 1, 0], [1, -1, 0], [0, 1, 0.1], [0, -1, 0.1], [0, 0, 1]], np.float32)
WORDS = Words.of(NAMES, TABLE)


def test_what_is_left_of_a_king_without_the_man_is_the_queen() -> None:
    assert WORDS.nearest("king - man + woman", 1)[0][0] == "queen"
    assert WORDS.nearest("King - Man + woman", 1)[0][0] == "queen"
    assert "king" not in [word for word, _ in WORDS.nearest("king")]


def test_neighbours_come_by_the_cosine_and_it_is_said() -> None:
    found = WORDS.nearest("man", 4)
    expected = sorted(((WORDS.likeness("man", name), name) for name in NAMES if name != "man"), reverse=True)
    assert [name for name, _ in found] == [name for _, name in expected]
    assert found[0][1] == pytest.approx(expected[0][0])
    assert WORDS.likeness("king", "queen") == pytest.approx(0)


def test_analogies_are_counted_where_all_words_are_known() -> None:
    asked = [("man", "king", "woman", "queen"), ("man", "king", "woman", "apple"), ("man", "king", "woman", "pear")]
    assert WORDS.analogies(asked) == (1, 2)


@pytest.mark.parametrize("expression", ["", "king queen", "king - ", "+ king"])
def test_what_is_no_sum_of_words_is_one_line(expression: str) -> None:
    with pytest.raises(UserError, match=r"words: .*Write \"king - man \+ woman\""):
        WORDS.nearest(expression)


def test_an_unknown_word_is_one_line_with_the_likely_ones() -> None:
    with pytest.raises(UserError, match=r"words: 'quen' has no vector. Did you mean: queen"):
        WORDS.nearest("king - quen")


def test_words_without_a_vector_are_none() -> None:
    found = Words.of(["a", "", "b"], np.array([[1, 0], [1, 1], [0, 0]], np.float32))
    assert found.names == ["a"]


@pytest.mark.parametrize("first", ["", "5 3\n"])
def test_both_text_formats_are_read(first: str, tmp_path: Path) -> None:
    write_vectors(WORDS, tmp_path / "w.txt")
    body = (tmp_path / "w.txt").read_text().split("\n", 1)[1]
    (tmp_path / "w.txt").write_text(first + body)
    names, table = read_vectors(tmp_path / "w.txt", "here")
    assert names == NAMES
    np.testing.assert_allclose(table, TABLE, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a 1 2\nb 1 2 3\n", "here: line 2 of .* has 3 numbers, not 2"),
        ("2 3\na 1 2\n", "here: line 2 of .* has 2 numbers, not 3"),
        ("a 1 2\nb 1 x\n", "here: line 2 of .* has something that is no number"),
        ("3 2\na 1 2\n", "says that it has 3 words, and has 1"),
        ("a 1 nan\n", "is not finite"),
        ("", "has no vectors"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        read_vectors(tmp_path / "w.txt", "here")


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_vectors(tmp_path / "w.txt", "here")
    (tmp_path / "w.bin").write_bytes(b"1 2\nword \xff\xfe\x00")
    with pytest.raises(DataError, match="is no text in UTF-8"):
        read_vectors(tmp_path / "w.bin", "here")


def test_questions_and_pairs_are_read_and_other_lines_refused(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(": family\nman king woman queen\n\n")
    assert read_questions(tmp_path / "q.txt") == [("man", "king", "woman", "queen")]
    (tmp_path / "q.txt").write_text("man king woman\n")
    with pytest.raises(DataError, match=r"q\.txt line 1: has 3 words"):
        read_questions(tmp_path / "q.txt")
    (tmp_path / "p.txt").write_text("cup mug 8.5\ncup, tea, 3\n")
    assert read_pairs(tmp_path / "p.txt") == [("cup", "mug", 8.5), ("cup", "tea", 3.0)]
    (tmp_path / "p.txt").write_text("cup mug\n")
    with pytest.raises(DataError, match=r"p\.txt line 1: is no pair"):
        read_pairs(tmp_path / "p.txt")
