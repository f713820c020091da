"""chrf: as sacrebleu counts it."""

from __future__ import annotations

import random
from itertools import zip_longest

import pytest
import sacrebleu

from hfrecipes.errors import DataError
from hfrecipes.metrics.chrf import Chrf
from tests.metrics.test_bleu import SAID, TRUE


def test_the_published_example_of_sacrebleu() -> None:
    assert Chrf().score(SAID, TRUE) == {"chrf": pytest.approx(59.73, abs=0.005)}


def test_it_is_the_f_measure_of_the_mean_precision_and_recall_of_runs_of_characters() -> None:
    assert Chrf().score(["abc"], ["abd"]) == {"chrf": pytest.approx(100 * (2 / 3 + 1 / 2 + 0) / 3)}


def test_recall_weighs_twice_as_much_as_precision() -> None:
    precision, recall = 1.0, (6 / 8 + 5 / 7 + 4 / 6 + 3 / 5 + 2 / 4 + 1 / 3) / 6
    found = Chrf().score(["abcdef"], ["abcdefgh"])
    assert found == {"chrf": pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))}


def test_equal_texts_have_100_and_texts_without_a_shared_character_0() -> None:
    assert Chrf().score(["ab cd", "x"], ["ab cd", ["yy", "x"]]) == {"chrf": pytest.approx(100)}
    assert Chrf().score(["ab"], ["xy"]) == {"chrf": 0.0}


def test_a_row_without_a_reference_is_refused() -> None:
    with pytest.raises(DataError, match="no reference"):
        Chrf().score(["a"], [[]])


def test_the_signature_says_how_it_was_counted() -> None:
    assert Chrf().signature() == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}"
    assert Chrf().signature(TRUE).startswith("nrefs:2|")
    assert Chrf().signature(["a", ["b", "c"]]).startswith("nrefs:var|")


def test_random_cases_equal_sacrebleu() -> None:
    chance, cases = random.Random(0), 0
    words = ["the", "The", "cat's", "dog,", "sat", "on", "3.5", "mats.", "(home)", "Straße", "über", "—", "who?"]

    def text() -> str:
        return " ".join(chance.choices(words, k=chance.randint(1, 12)))

    for _ in range(200):
        true = [[text() for _ in range(chance.randint(1, 3))] for _ in range(chance.randint(1, 6))]
        said = [" ".join(w for w in chance.choice(row).split() if chance.random() < 0.8) or text() for row in true]
        expected = sacrebleu.corpus_chrf(said, list(map(list, zip_longest(*true)))).score
        given = [row[0] if len(row) == 1 else row for row in true]
        assert Chrf().score(said, given)["chrf"] == pytest.approx(expected, abs=1e-6)
        cases += 1
    assert cases == 200
