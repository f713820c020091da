"""rouge: words shared with a summary."""

from __future__ import annotations

import random

import pydantic
import pytest
from rouge_score.rouge_scorer import RougeScorer

from hfrecipes.errors import DataError
from hfrecipes.metrics.rouge import Rouge

KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def test_shared_words_pairs_and_subsequences_by_hand() -> None:
    true, said = "The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log."
    found = Rouge().score([said], [true])
    assert found == pytest.approx({"rouge1": 12 / 17, "rouge2": 4 / 15, "rougeL": 10 / 17, "rougeLsum": 10 / 17})


@pytest.mark.parametrize(("said", "share"), [("police kill the gunman", 0.75), ("the gunman kill police", 0.5)])
def test_the_order_of_words_counts_as_in_lin_2004(said: str, share: float) -> None:
    assert Rouge(stemmer=False).score([said], ["police killed the gunman"])["rougeL"] == pytest.approx(share)


def test_the_union_of_subsequences_of_sentences_as_in_lin_2004() -> None:
    found = Rouge(which="rougeLsum").score(["w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5"], ["w1 w2 w3 w4 w5"])
    assert found["rougeLsum"] == pytest.approx(2 * (4 / 10) * (4 / 5) / (4 / 10 + 4 / 5))


def test_the_stemmer_cuts_endings() -> None:
    assert Rouge().score(["police kills"], ["police killed"])["rouge1"] == 1.0
    assert Rouge(stemmer=False).score(["police kills"], ["police killed"])["rouge1"] == 0.5


@pytest.mark.parametrize("mark", [". ", "! ", "? "])
def test_sentences_are_split_only_for_rouge_lsum_and_only_where_there_are_no_lines(mark: str) -> None:
    true, said = f"cats sleep{mark}dogs bark loudly.", f"dogs bark loudly{mark}cats sleep."
    found = Rouge(stemmer=False).score([said], [true])
    assert (found["rougeLsum"], found["rougeL"]) == pytest.approx((1.0, 3 / 5))
    lines = Rouge(stemmer=False).score([said + "\n"], [true + "\n"])
    assert lines["rougeLsum"] == pytest.approx(3 / 5)


def test_a_point_inside_a_word_splits_nothing() -> None:
    assert Rouge().score(["b 3.5 a"], ["a 3.5 b"])["rougeLsum"] == Rouge().score(["b 3.5 a"], ["a 3.5 b"])["rougeL"]


def test_the_best_reference_of_a_row_is_chosen_by_each_figure() -> None:
    found = Rouge(stemmer=False).score(["a b c d"], [["d c b a", "a b x y z"]])
    assert found["rouge1"] == pytest.approx(1.0)
    assert found["rougeL"] == pytest.approx(2 * 2 / (4 + 5))


def test_figures_are_means_over_rows_and_the_chosen_one_comes_first() -> None:
    metric = Rouge(which="rouge2")
    found = metric.score(["a b", "x"], ["a b", "y"])
    assert list(found) == ["rouge2", "rouge1", "rougeL", "rougeLsum"]
    assert (metric.figure, found["rouge1"], Rouge().figure) == ("rouge2", 0.5, "rougeL")


def test_an_empty_summary_is_zero_and_a_row_without_a_reference_is_refused() -> None:
    assert set(Rouge().score([""], ["a b"]).values()) == {0.0}
    with pytest.raises(DataError, match="no reference"):
        Rouge().score(["a"], [[]])


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="rougeLsum"):
        Rouge(which="rouge3")  # type: ignore[arg-type]


@pytest.mark.parametrize("stemmer", [True, False])
def test_random_cases_equal_rouge_score(stemmer: bool) -> None:
    chance, cases = random.Random(0), 0
    scorer = RougeScorer(KINDS, use_stemmer=stemmer)
    words = ["the", "cat", "cats", "sat", "sitting", "on", "mats", "mat,", "dogs", "running", "ran", "run.", "home!", "why?"]

    def text() -> str:
        return " ".join(chance.choices(words, k=chance.randint(1, 14)))

    def lines(given: str) -> str:
        return given.replace(". ", ".\n").replace("! ", "!\n").replace("? ", "?\n")

    for _ in range(200):
        said = [text() for _ in range(chance.randint(1, 4))]
        true = [[text() for _ in range(chance.randint(1, 3))] for _ in said]
        rows = [[scorer.score(lines(t), lines(s)) for t in several] for s, several in zip(said, true, strict=True)]
        expected = {kind: sum(max(one[kind].fmeasure for one in row) for row in rows) / len(rows) for kind in KINDS}
        given = [several[0] if len(several) == 1 else several for several in true]
        assert Rouge(stemmer=stemmer).score(said, given) == pytest.approx(expected, abs=1e-6)
        cases += 1
    assert cases == 200
