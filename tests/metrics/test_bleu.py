"""bleu: as sacrebleu counts it."""

from __future__ import annotations

import random
from itertools import zip_longest

import pytest
import sacrebleu

from hfrecipes.errors import DataError
from hfrecipes.metrics.bleu import Bleu

SAID = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
TRUE = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]


def test_the_published_example_of_sacrebleu() -> None:
    assert Bleu().score(SAID, TRUE) == {"bleu": pytest.approx(48.53, abs=0.005)}


def test_it_is_the_geometric_mean_of_four_precisions() -> None:
    precisions = (4 / 5) * (3 / 4) * (2 / 3) * (1 / 2)
    assert Bleu().score(["a b c d e"], ["a b c d f"]) == {"bleu": pytest.approx(100 * precisions**0.25)}


def test_a_short_translation_pays_the_brevity_penalty() -> None:
    found = Bleu().score(["a b c d"], ["a b c d e"])
    assert found == {"bleu": pytest.approx(100 * 2.718281828459045 ** (1 - 5 / 4))}


def test_equal_texts_have_100_and_texts_without_a_shared_word_0() -> None:
    assert Bleu().score(["a b c d", "e f g h"], ["a b c d", ["x", "e f g h"]]) == {"bleu": pytest.approx(100)}
    assert Bleu().score(["a b c d"], ["w x y z"]) == {"bleu": 0.0}


def test_a_row_without_a_reference_is_refused() -> None:
    with pytest.raises(DataError, match="no reference"):
        Bleu().score(["a", "b"], ["a", []])


def test_the_signature_says_how_it_was_counted() -> None:
    version = f"version:{sacrebleu.__version__}"
    assert Bleu().signature() == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}"
    assert Bleu().signature(TRUE).startswith("nrefs:2|")
    assert Bleu().signature(["a", ["b", "c"]]).startswith("nrefs:var|")


def test_random_cases_equal_sacrebleu() -> None:
    chance, cases = random.Random(0), 0
    words = ["the", "The", "cat's", "dog,", "sat", "on", "3.5", "mats.", "(home)", "Straße", "über", "—", "who?"]

    def text() -> str:
        return " ".join(chance.choices(words, k=chance.randint(1, 12)))

    for _ in range(200):
        true = [[text() for _ in range(chance.randint(1, 3))] for _ in range(chance.randint(1, 6))]
        said = [" ".join(w for w in chance.choice(row).split() if chance.random() < 0.8) or text() for row in true]
        expected = sacrebleu.corpus_bleu(said, list(map(list, zip_longest(*true))), force=True).score
        given = [row[0] if len(row) == 1 else row for row in true]
        assert Bleu().score(said, given)["bleu"] == pytest.approx(expected, abs=1e-6)
        cases += 1
    assert cases == 200
