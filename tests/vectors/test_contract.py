"""What every way to vectors must do, and GloVe and SIF against their formulas."""

from __future__ import annotations

import builtins
import importlib.util
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hfrecipes.errors import DataError, DependencyError, RecipeError
from hfrecipes.part import names
from hfrecipes.tokens import Tokens
from hfrecipes.vectors import COMMON, Corpus, Vectors, rarities
from hfrecipes.vectors._glove import Tables, cooccurrences, fit, loss, slope
from hfrecipes.vectors.glove import Glove
from hfrecipes.words import Words
from tests.conftest import make_tokenizer

PLACES = ("river", "water", "shore", "boat")
MONEY = ("bank", "money", "loan", "credit")
VOCABULARY = [*PLACES, *MONEY, "the", "of"]
WIDTH = 8
LEARNED = [{"word2vec": {"mode": mode}} for mode in ("skip_gram", "cbow")] + [
    {"fasttext": {"mode": mode, "bucket": 1000}} for mode in ("skip_gram", "cbow")
] + [{"glove": {"most": 10, "learning_rate": 0.2}}]  # fmt: skip


def texts(count: int = 400) -> list[str]:
    """Texts of two fields that share no word but the small ones."""
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice([*(PLACES, MONEY)[i % 2], "the"], 12)) for i in range(count)]


def corpus(given: Sequence[str], width: int = WIDTH) -> Corpus:
    tokens = Tokens.of(make_tokenizer(VOCABULARY), None, None)
    rows = [encoding.ids for encoding in tokens.encode(given)]
    return Corpus(rows, tokens, {"vocab_size": len(VOCABULARY) + 5, "hidden_size": width})


def chosen(given: Any) -> Any:
    [(name, options)] = given.items()
    learning = {"epochs": 20, **options} if name != "glove" else {"epochs": 60, **options}
    return Vectors.choose({name: learning})


def test_every_way_is_tested() -> None:
    assert sorted({next(iter(each)) for each in LEARNED} | {"encoder", "file"}) == names("vectors")


@pytest.mark.parametrize("given", LEARNED, ids=lambda given: "-".join(map(str, next(iter(given.items())))))
def test_words_of_one_field_are_nearer_than_those_of_another(given: Any) -> None:
    read = corpus(texts())
    table = chosen(given).learn(read)
    assert table.shape == (read.size, WIDTH)
    assert not table[sorted(read.special)].any()
    words = Words.of(read.names, table)
    inside = [words.likeness(a, b) for field in (PLACES, MONEY) for a in field for b in field if a < b]
    across = [words.likeness(a, b) for a in PLACES for b in MONEY]
    assert np.mean(inside) > np.mean(across) + 0.2
    assert set(PLACES) & {word for word, _ in words.nearest("river", 3)}


@pytest.mark.parametrize("given", LEARNED, ids=lambda given: "-".join(map(str, next(iter(given.items())))))
def test_the_same_texts_and_seed_give_the_same_vectors(given: Any) -> None:
    first, second = (chosen(given).learn(corpus(texts(40))) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["word2vec", "fasttext", "glove"])
def test_an_empty_vocabulary_is_one_line(name: str) -> None:
    with pytest.raises(
        DataError, match=rf"vectors.{name}.min_count: no word is met 99 times, so the vocabulary is empty. Write less"
    ):
        Vectors.choose({name: {"min_count": 99}}).learn(corpus(["river bank"]))


def test_words_alone_have_no_neighbours() -> None:
    with pytest.raises(DataError, match=r"vectors.glove: no two words stand near each other"):
        Glove(min_count=1).learn(corpus(["river", "bank"]))


def test_a_piece_cannot_be_longer_than_the_longest() -> None:
    with pytest.raises(RecipeError, match=r"vectors.fasttext.min_n: is 5, more than max_n 3"):
        Vectors.choose({"fasttext": {"min_n": 5, "max_n": 3}}).learn(corpus(texts(4)))


@pytest.mark.parametrize("name", ["word2vec", "fasttext"])
def test_without_gensim_it_is_said_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "gensim" else there(name, *a))
    with pytest.raises(DependencyError, match=rf"vectors.{name}: needs gensim. Run: pip install 'hfrecipes\[words\]'"):
        Vectors.choose(name).learn(corpus(texts(4)))


def test_words_are_counted_with_one_over_their_distance_within_a_row() -> None:
    found = cooccurrences([[0, 1, 2], [0, 1], [2]], 4, window=2).toarray()
    expected = np.zeros((4, 4))
    for a, b, count in [(0, 1, 2), (1, 2, 1), (0, 2, 0.5)]:
        expected[a, b] = expected[b, a] = count
    np.testing.assert_allclose(found, expected)
    assert not cooccurrences([[0, 1, 2]], 4, window=1).toarray()[0, 2]


def test_the_loss_is_that_of_the_paper() -> None:
    """Equation 8 of Pennington et al. 2014, pair by pair."""
    draw = np.random.default_rng(1)
    word, near, bias, near_bias = draw.normal(size=(5, 3)), draw.normal(size=(5, 3)), draw.normal(size=5), draw.normal(size=5)
    counts, most, exponent = draw.uniform(0.5, 200, size=(5, 5)), 100.0, 0.75
    expected = builtins.sum(
        min(1.0, (counts[i, j] / most) ** exponent) * (word[i] @ near[j] + bias[i] + near_bias[j] - np.log(counts[i, j])) ** 2
        for i in range(5)
        for j in range(5)
    )
    found = loss(torch.tensor(word @ near.T + bias[:, None] + near_bias[None]), torch.tensor(counts), most, exponent)
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_a_step_goes_against_the_gradient_of_the_loss_each_unit_by_what_it_has_seen() -> None:
    tables = Tables.drawn(5, 3, seed=0)
    before = [tables.word.double().requires_grad_(), tables.near.double().requires_grad_()]
    left, right, counts = torch.tensor([1]), torch.tensor([2]), torch.tensor([7.0])
    same = Tables(before[0], before[1], tables.seen_word, tables.seen_near)
    loss(same.products(left, right), counts, 10.0, 0.75).backward()
    tables.step(left, right, slope(tables.products(left, right), counts, 10.0, 0.75), 0.1)
    for now, was in zip((tables.word, tables.near), before, strict=True):
        assert was.grad is not None and was.grad.abs().sum() > 0
        expected = was.detach() - 0.1 * was.grad / (1 + was.grad.square()).sqrt()
        np.testing.assert_allclose(now.numpy(), expected.numpy(), atol=1e-6)


def test_the_loss_falls() -> None:
    counted = cooccurrences(corpus(texts(100)), 15, window=5)
    _, losses = fit(counted, WIDTH, Glove(epochs=30, most=10), seed=0)
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < 0.5 * losses[0]


def test_the_vectors_are_those_of_the_words_or_the_sums_with_those_as_neighbours() -> None:
    tables = Tables.drawn(5, 3, seed=0)
    np.testing.assert_array_equal(tables.vectors(both=False), tables.word[:, :-1].numpy())
    np.testing.assert_array_equal(tables.vectors(both=True), (tables.word + tables.near)[:, :-1].numpy())


def test_a_frequent_token_weighs_less() -> None:
    found = rarities(np.array([0, 1, 99]))
    np.testing.assert_allclose(found, [1, COMMON / (COMMON + 0.01), COMMON / (COMMON + 0.99)])


def test_vectors_of_a_file_are_those_of_its_words(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("river 1 2\nbank 3 4\nunknown 5 6\n")
    read = corpus(texts(1), width=2)
    table = Vectors.choose({"file": {"path": str(tmp_path / "v.txt")}}).learn(read)
    assert table[read.names.index("bank")].tolist() == [3, 4]
    assert np.count_nonzero(table.any(axis=1)) == 2


def test_a_file_of_another_width_or_of_other_words_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("river 1 2\n")
    asked = Vectors.choose({"file": {"path": str(tmp_path / "v.txt")}})
    with pytest.raises(DataError, match=r"the vectors have 2 units, and the model 8. Write `model.config.hidden_size: 2`"):
        asked.learn(corpus(texts(1)))
    (tmp_path / "v.txt").write_text("nowhere 1 2\n")
    with pytest.raises(DataError, match="none of the 1 words is a token of the model"):
        asked.learn(corpus(texts(1), width=2))


def test_an_encoder_gives_what_it_makes_of_a_token_alone(tiny_bert: Path) -> None:
    from transformers import AutoModel

    from hfrecipes.vectors._encoder import states

    body = AutoModel.from_pretrained(tiny_bert).eval()
    tokens = Tokens.open(tiny_bert, None, None)
    found = states(body, tokens, 30)
    with torch.inference_mode():
        expected = body(torch.tensor([[2, 9, 3]])).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(found[9], expected.numpy(), atol=1e-5)
    table = Vectors.choose({"encoder": {"teacher": str(tiny_bert)}}).learn(
        Corpus([[2, 9, 3]], tokens, {"vocab_size": 30, "hidden_size": 16})
    )
    assert table.shape == (30, 16)
    with pytest.raises(RecipeError, match="has 32 units, and the new model 64"):
        Vectors.choose({"encoder": {"teacher": str(tiny_bert)}}).learn(
            Corpus([[2, 9, 3]], tokens, {"vocab_size": 30, "hidden_size": 64})
        )
