"""Tokens: texts to token ids, as transformers does it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.errors import ModelError
from hfrecipes.tokens import Tokens
from tests.conftest import sentiment

TEXTS = [row["text"] for row in sentiment(16)]


def with_options(source: Path, folder: Path, **options: Any) -> Tokens:
    """The tokenizer of a copy with other entries in its `tokenizer_config.json`."""
    shutil.copytree(source, folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **options}))
    return Tokens.open(folder, None, None)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_batch_is_what_transformers_makes_of_it(side: str, tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokens = with_options(tiny_bert, tmp_path / "copy", padding_side=side)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "copy")(TEXTS, padding=True, return_tensors="np")
    ours = tokens.collate([tokens.features(encoding) for encoding in tokens.encode(TEXTS)])
    assert set(theirs) == {"input_ids", "token_type_ids", "attention_mask"}
    assert {name: ours[name].tolist() for name in theirs} == {name: array.tolist() for name, array in theirs.items()}
    assert (ours["attention_mask"][0, 0 if side == "right" else -1], ours["attention_mask"].min()) == (1, 0)


def test_positions_are_counted_from_the_first_token_where_padding_stands_before_it(tiny_bert: Path, tmp_path: Path) -> None:
    tokens = with_options(tiny_bert, tmp_path / "copy", padding_side="left")
    batch = tokens.collate([tokens.features(encoding) for encoding in tokens.encode(["good film", ""])])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert [row[mask == 1].tolist() for row, mask in zip(batch["position_ids"], batch["attention_mask"], strict=True)] == [
        [0, 1, 2, 3],
        [0, 1],
    ]


def test_pairs_carry_their_segments(tiny_bert: Path) -> None:
    tokens = Tokens.open(tiny_bert, None, None)
    [encoding] = tokens.encode(["good film"], ["bad"])
    assert tokens.features(encoding)["token_type_ids"] == [0, 0, 0, 0, 1, 1]


def test_a_long_text_is_cut_to_the_length_with_its_special_tokens(tiny_bert: Path) -> None:
    tokens = Tokens.open(tiny_bert, 10, None)
    [encoding] = tokens.encode(["good " * 50])
    assert len(encoding.ids) == 10
    assert (encoding.tokens[0], encoding.tokens[-1]) == ("[CLS]", "[SEP]")


def test_a_text_of_a_million_characters_takes_no_longer_than_one_that_fits(tiny_bert: Path) -> None:
    tokens = Tokens.open(tiny_bert, None, None)
    started = time.perf_counter()
    [words, word] = tokens.encode(["good " * 200_000, "g" * 1_000_000])
    assert time.perf_counter() - started < 0.1
    assert (len(words.ids), len(word.ids)) == (64, 3)


def test_only_what_the_model_reads_is_given(tiny_bert: Path, tmp_path: Path) -> None:
    tokens = with_options(tiny_bert, tmp_path / "copy", model_input_names=["input_ids", "attention_mask"])
    assert list(tokens.features(tokens.encode(["good"])[0])) == ["input_ids", "attention_mask"]


def test_the_length_is_the_smallest_that_is_said(tiny_bert: Path, tmp_path: Path) -> None:
    assert Tokens.open(tiny_bert, 100, 80).max_length == 64
    assert Tokens.open(tiny_bert, 100, 32).max_length == 32
    assert with_options(tiny_bert, tmp_path / "copy", model_max_length=None).max_length == 512


def test_an_empty_text_is_its_special_tokens(tiny_bert: Path) -> None:
    assert Tokens.open(tiny_bert, None, None).encode([""])[0].tokens == ["[CLS]", "[SEP]"]


def test_a_slow_tokenizer_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no tokenizer\.json\. Save a fast tokenizer"):
        Tokens.open(tmp_path, None, None)


def test_a_tokenizer_without_a_pad_token_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no pad token"):
        with_options(tiny_bert, tmp_path / "copy", pad_token=None)
