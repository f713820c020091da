"""Senses: a word's vectors in context are those of the model, and near to what stands like it in other texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hfrecipes.cli import app
from hfrecipes.errors import ModelError, UserError
from hfrecipes.senses import senses
from tests.contracts import make

TEXTS = ("the bank was good", "a card is my bank", "my plot was dull")


@pytest.fixture(scope="module")
def by_characters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A folder with a tiny BERT for which each word is several tokens, the model and its tokenizer."""
    from transformers import BertConfig, BertModel

    part: Any = make("tokenizers", "character")
    tokenizer = part.wrap(part.train(list(TEXTS)), "encoder", 32)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=32, **sizes)).eval()
    folder = tmp_path_factory.mktemp("characters")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


def test_a_vector_in_context_is_the_mean_of_the_states_of_its_tokens(by_characters: tuple[Path, Any, Any]) -> None:
    folder, model, tokenizer = by_characters
    found = senses(folder, "bank", TEXTS[:2], count=50)
    vectors = []
    for text in TEXTS[:2]:
        read = tokenizer(text.split(), is_split_into_words=True, return_tensors="pt")
        at = text.split().index("bank")
        here = torch.tensor([place == at for place in read.word_ids()])
        assert int(here.sum()) == 4
        with torch.inference_mode():
            vectors.append(model(**read).last_hidden_state[0, here].mean(0).numpy())
    one, other = (vector / np.linalg.norm(vector) for vector in vectors)
    np.testing.assert_allclose(found.likeness, [[1, one @ other], [one @ other, 1]], atol=1e-5)
    assert found.likeness[0, 1] < 0.999
    [itself] = [cosine for name, _, cosine in found.near[0] if name == "bank"]
    assert itself == pytest.approx(float(one @ other), abs=1e-5)


def test_neighbours_come_from_other_texts_each_once_and_the_static_ones_from_the_table(
    by_characters: tuple[Path, Any, Any],
) -> None:
    folder, model, tokenizer = by_characters
    found = senses(folder, "Bank", TEXTS[:2], count=50)
    for number, near in enumerate(found.near):
        others = {word.lower() for i, text in enumerate(TEXTS[:2]) for word in text.split() if i != number}
        assert {name for name, *_ in near} == others
        assert [cosine for *_, cosine in near] == sorted((cosine for *_, cosine in near), reverse=True)
    table = model.get_input_embeddings().weight.detach().numpy()

    def plain(word: str) -> np.ndarray:
        ids = tokenizer(word, add_special_tokens=False)["input_ids"]
        vector = table[ids].mean(axis=0)
        return np.asarray(vector / np.linalg.norm(vector))

    words = sorted({word for text in TEXTS[:2] for word in text.lower().split()} - {"bank"})
    assert sorted(name for name, _ in found.static) == words
    for name, cosine in found.static:
        assert cosine == pytest.approx(float(plain("bank") @ plain(name)), abs=1e-5)


def test_the_words_of_a_run_are_those_of_its_training_rows(finished: Path) -> None:
    found = senses(finished, "film", ["the film was good"], count=100)
    assert {"bad", "awful", "play", "film"} <= {name for name, *_ in found.near[0]}
    assert all(name in text.split() for name, text, _ in found.near[0])


def test_a_decoder_is_asked_as_well_and_an_encoder_decoder_refused(tiny_gpt: Path, tiny_t5: Path) -> None:
    found = senses(tiny_gpt, "bank", ["bank is good", "my old bank was awful"])
    assert found.likeness[0, 1] < 0.999
    with pytest.raises(ModelError, match="reads a text twice"):
        senses(tiny_t5, "bank", ["bank is good"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["bank", "--within", "no such word"], "'no such word' does not hold the word 'bank'. Write texts with it"),
        (["bank", "--within", "good " * 80 + "bank"], "has the word behind what the model reads"),
        (["bank", "card", "--within", "my bank"], "2 words are asked for in these texts"),
        (["bank", "--within", "my bank", "--before"], "asks for one word in texts and for nothing else"),
        (["--within", "my bank"], "0 words are asked for in these texts"),
    ],
)
def test_what_cannot_be_asked_is_one_line(asked: list[str], said: str, finished: Path) -> None:
    ran = CliRunner().invoke(app, ["words", str(finished), *asked])
    assert isinstance(ran.exception, UserError)
    assert said in str(ran.exception)


def test_the_command_says_both(finished: Path) -> None:
    ran = CliRunner().invoke(app, ["words", str(finished), "bank", "--within", TEXTS[0], "--within", TEXTS[1], "--count", "3"])
    lines = ran.stdout.splitlines()
    assert lines[0] == f"bank in: {TEXTS[0]}"
    assert lines[4].startswith(f"bank in: {TEXTS[1]}  0.")
    assert lines[8] == "bank anywhere, by its one vector without context"
    assert len(lines) == 12
