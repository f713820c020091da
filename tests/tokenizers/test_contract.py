"""What every tokenizer must do, for every architecture."""

from __future__ import annotations

import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.errors import DataError, RecipeError
from hfrecipes.models import save_tokenizer
from hfrecipes.tokenizers import LAYOUTS, Tokenization
from hfrecipes.tokens import Tokens
from tests.contracts import every, make
from tests.tokenizers import TEXTS

NAMES = every("tokenizers")
ARCHITECTURES = ("encoder", "decoder", "encoder-decoder")
SIZE = 400
FIRST = {
    "encoder": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "decoder": ["<pad>", "<unk>", "<s>", "</s>"],
    "encoder-decoder": ["<pad>", "</s>", "<unk>"],
}
AROUND = {"encoder": (["[CLS]"], ["[SEP]"]), "decoder": (["<s>"], []), "encoder-decoder": ([], ["</s>"])}
STRANGE = ["😀👨‍👩‍👧 ok", "‏שלום עולם‏", "a\0b", "\0", "", "   ", "\ud800 lone", "\u202eabc", "x" * 5_000, "e\u0301 \ufeff\u200b"]

every_kind = pytest.mark.parametrize("name", NAMES)
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


@cache
def wrapped(name: str, architecture: Any) -> Any:
    """The tokenizer of that kind, trained and wrapped; never changed by a test."""
    part = make("tokenizers", name, {name: {"vocab_size": SIZE}})
    return part.wrap(part.train(TEXTS, architecture), architecture, 64)


def test_there_are_five_kinds_and_a_layout_for_each_architecture() -> None:
    assert NAMES == ["bpe", "character", "unigram", "word", "wordpiece"]
    assert sorted(LAYOUTS) == sorted(ARCHITECTURES) == sorted(FIRST)


@every_architecture
@every_kind
def test_special_tokens_have_the_first_ids_and_the_vocabulary_its_size(name: str, architecture: str) -> None:
    tokenizer = wrapped(name, architecture)
    first = FIRST[architecture]
    assert tokenizer.convert_ids_to_tokens(list(range(len(first)))) == first
    assert tokenizer.pad_token == first[0]
    sentinels = 100 if architecture == "encoder-decoder" else 0
    learned = len(tokenizer) - sentinels
    assert len(first) + 20 < learned <= SIZE
    assert tokenizer.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(sentinels)]) == list(range(learned, len(tokenizer)))
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))


@every_architecture
@every_kind
def test_the_template_the_side_and_the_inputs_are_those_of_the_architecture(name: str, architecture: str) -> None:
    tokenizer = wrapped(name, architecture)
    bare = tokenizer.tokenize("the film was good")
    before, after = AROUND[architecture]
    found = tokenizer("the film was good")
    assert tokenizer.convert_ids_to_tokens(found["input_ids"]) == [*before, *bare, *after]
    assert tokenizer.padding_side == ("left" if architecture == "decoder" else "right")
    types = ["token_type_ids"] if architecture == "encoder" else []
    assert list(found) == ["input_ids", *types, "attention_mask"]
    assert tokenizer.model_max_length == 64
    pair = tokenizer("good", "bad")
    assert pair["input_ids"][: len(before) + 1] == tokenizer("good")["input_ids"][: len(before) + 1]
    if types:
        assert pair["token_type_ids"] == [0] * (len(tokenizer.tokenize("good")) + 2) + [1] * (len(tokenizer.tokenize("bad")) + 1)


@every_architecture
@every_kind
def test_it_is_the_same_when_saved_and_loaded_by_transformers_and_by_tokens(name: str, architecture: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = wrapped(name, architecture)
    save_tokenizer(tokenizer, tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    texts = [text for text in [*TEXTS[-8:], "unseen ξ words", "x [MASK] y <extra_id_7> z"] if text]
    expected = [dict(tokenizer(text, text, truncation=True)) for text in texts]
    assert [dict(again(text, text, truncation=True)) for text in texts] == expected
    assert (again.padding_side, again.model_max_length, len(again)) == (tokenizer.padding_side, 64, len(tokenizer))
    assert again.special_tokens_map == tokenizer.special_tokens_map
    tokens = Tokens.open(tmp_path, None, None)
    assert [tokens.features(encoding) for encoding in tokens.encode(texts, texts)] == expected
    assert (tokens.pad_id, tokens.padding_side, tokens.max_length) == (0, tokenizer.padding_side, 64)
    assert tokens.text(expected[0]["input_ids"]) == tokenizer.decode(expected[0]["input_ids"], skip_special_tokens=True)


@every_architecture
@every_kind
def test_decoding_gives_a_text_of_plain_words_back(name: str, architecture: str) -> None:
    tokenizer = wrapped(name, architecture)
    texts = TEXTS[:20]
    back = [tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) for text in texts]
    assert back == texts
    padded = tokenizer(texts, padding=True)["input_ids"]
    assert tokenizer.batch_decode(padded, skip_special_tokens=True) == texts


@every_kind
def test_strange_texts_are_cut_and_learned_from(name: str) -> None:
    tokenizer = wrapped(name, "encoder")
    cut = [tokenizer(text.replace("\ud800", "?"))["input_ids"] for text in STRANGE]
    assert len(cut) == len(STRANGE) == 10
    assert all(ids[0] == 2 and ids[-1] == 3 for ids in cut)
    learned = make("tokenizers", name, {name: {"vocab_size": 1_000}}).train([*STRANGE, *TEXTS])
    assert learned.get_vocab_size() > 20


TRAIN = """
import hashlib, sys
from hfrecipes.tokenizers import Tokenization
from tests.tokenizers import TEXTS
for name in sys.argv[1:]:
    print(hashlib.sha256(Tokenization.choose({name: {"vocab_size": 400}}).train(TEXTS).to_str().encode()).hexdigest())
"""


def test_the_same_texts_give_the_same_bytes_in_this_process_and_in_another() -> None:
    import hashlib

    def prints() -> list[str]:
        trained = [make("tokenizers", name, {name: {"vocab_size": 400}}).train(TEXTS) for name in NAMES]
        return [hashlib.sha256(tokenizer.to_str().encode()).hexdigest() for tokenizer in trained]

    here = prints()
    assert len(set(here)) == len(NAMES)
    assert [prints() for _ in range(4)] == [here] * 4
    done = subprocess.run([sys.executable, "-c", TRAIN, *NAMES], capture_output=True, text=True, check=True)
    assert done.stdout.split() == here


@every_kind
def test_the_order_of_the_texts_does_not_matter(name: str) -> None:
    mixed = random.Random(0).sample(TEXTS, len(TEXTS))
    assert mixed != TEXTS
    part = make("tokenizers", name, {name: {"vocab_size": 400}})
    assert part.train(mixed).to_str() == part.train(iter(TEXTS)).to_str()


@pytest.mark.parametrize("texts", [[], [""], ["  ", "\n"]], ids=["none", "empty", "white space"])
@every_kind
def test_nothing_to_learn_from_is_refused(name: str, texts: list[str]) -> None:
    with pytest.raises(DataError, match=r"data: there is nothing in the texts .*\. Name a column") as caught:
        make("tokenizers", name).train(texts)
    assert "\n" not in str(caught.value)


@every_architecture
@every_kind
def test_a_vocabulary_without_room_is_refused_with_the_size_that_works(name: str, architecture: Any) -> None:
    size = 1
    for _ in range(3):
        part = make("tokenizers", name, {name: {"vocab_size": size}})
        try:
            trained = part.train(TEXTS, architecture)
        except RecipeError as error:
            assert str(error).startswith(f"tokenizer.{name}.vocab_size: {size} is less than")
            size = int(error.instead.split()[1])
        else:
            break
    assert size > len(FIRST[architecture])
    assert trained.get_vocab_size() == size


@every_kind
def test_a_tokenizer_of_another_architecture_is_refused(name: str) -> None:
    part = make("tokenizers", name)
    with pytest.raises(ValueError, match="was not trained for the architecture 'decoder'"):
        part.wrap(part.train(TEXTS, "encoder"), "decoder", 64)


@every_kind
def test_wrapping_leaves_the_trained_tokenizer_as_it_was(name: str) -> None:
    part = make("tokenizers", name)
    trained = part.train(TEXTS, "encoder-decoder")
    before = trained.to_str()
    wrapped_once, wrapped_twice = (part.wrap(trained, "encoder-decoder", length) for length in (32, 64))
    assert trained.to_str() == before
    assert wrapped_once.backend_tokenizer.to_str() == wrapped_twice.backend_tokenizer.to_str()


@every_kind
def test_lowercase_makes_capitals_the_same(name: str) -> None:
    for lowercase in (True, False):
        tokenizer = make("tokenizers", name, {name: {"lowercase": lowercase}}).train(["The Film", "the film", "the film"] * 3)
        same = tokenizer.encode("The Film").ids == tokenizer.encode("the film").ids
        assert same is lowercase


@every_kind
@pytest.mark.parametrize("options", [{"vocab_size": 0}, {"vocab_size": "many"}, {"vocabulary": 10}])
def test_options_are_checked(name: str, options: dict[str, Any]) -> None:
    import pydantic

    with pytest.raises(pydantic.ValidationError, match="vocab"):
        Tokenization.choose({name: options})


def test_a_name_alone_is_a_tokenizer_and_a_wrong_one_says_which_there_are() -> None:
    assert Tokenization.choose("bpe") == Tokenization.choose({"bpe": {}})
    with pytest.raises(ValueError, match=r"unknown tokenizer 'bpm'\. Did you mean 'bpe'"):
        Tokenization.choose("bpm")
