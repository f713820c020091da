"""A vocabulary without the tokens that nobody uses: texts of the others are read and answered as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from hfrecipes import Predictor, verbs
from hfrecipes.checkpoint import KEPT, load_trained
from hfrecipes.compressors._tokens import cut, kept
from hfrecipes.config import build
from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json, write_json
from hfrecipes.models import save_tokenizer
from hfrecipes.recipe import Recipe
from hfrecipes.tokens import Tokens
from tests.conftest import sentiment, write_lines
from tests.contracts import every, make

SAID = ["the films were bad, the actors worse: a lowest low", "lower newer widest wider new bad plots of low films"]
MORE = [
    "unreadable quizzical jockeys vexed my sphinx of black quartz",
    "thirty bright zebras jumped quickly over the lazy dog's bed",
]


@pytest.mark.parametrize("kind", every("tokenizers"))
def test_texts_of_known_tokens_are_cut_as_before_and_others_can_be_read(kind: str, tmp_path: Path) -> None:
    part: Any = make("tokenizers", kind, {kind: {"vocab_size": 300}})
    save_tokenizer(part.wrap(part.train(SAID * 20 + MORE * 20), "encoder", 64), tmp_path)
    before = Tokens.open(tmp_path, None, None)
    said = [encoding.ids for encoding in before.encode(SAID)]
    words = [encoding.tokens for encoding in before.encode(SAID)]
    keep = kept(tmp_path, {i for ids in said for i in ids})
    assert (len(keep) < before.tokenizer.get_vocab_size()) is (kind != "character")  # single characters stay
    cut(tmp_path, keep)
    after = Tokens.open(tmp_path, None, None)
    assert after.tokenizer.get_vocab_size() == len(keep)
    assert [encoding.tokens for encoding in after.encode(SAID)] == words
    assert [[keep[i] for i in encoding.ids] for encoding in after.encode(SAID)] == said
    [other] = after.encode([MORE[0]])
    if kind != "word":
        assert len(other.ids) >= len(before.encode([MORE[0]])[0].ids)
        unknown = after.names.get("unk_token")
        assert unknown is None or other.tokens.count(unknown) == before.encode([MORE[0]])[0].tokens.count(unknown)


def test_an_unknown_kind_of_tokenizer_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    values = read_json(tiny_bert / "tokenizer.json")
    values["model"]["type"] = "Huffman"
    write_json(tmp_path / "tokenizer.json", values)
    with pytest.raises(ModelError, match="Huffman are not known"):
        kept(tmp_path, [1])


def test_a_run_without_half_of_its_tokens_answers_as_it_did(values: dict[str, Any], tmp_path: Path) -> None:
    steps = ["vocabulary"]
    run = verbs.run(build(Recipe, {**values, "compress": steps, "check": []}), tmp_path / "run").path.parent
    trained, model = load_trained(run / "trained"), load_trained(run / "model")
    used = read_json(run / "model" / KEPT)
    assert model.config.vocab_size == len(used) < trained.config.vocab_size
    texts = [row["text"] for row in sentiment(12)]
    before = Predictor.around(trained, run / "trained")(texts)
    for graph in ("pytorch", "cpu/fp32"):
        after = Predictor.open(run, graph)(texts)
        assert [a.label for a in after] == [b.label for b in before]
        assert [a.score for a in after] == pytest.approx([b.score for b in before], abs=1e-4)
    plain = AutoModelForSequenceClassification.from_pretrained(run / "model")
    assert plain.get_input_embeddings().num_embeddings == len(used)


def test_recovery_reads_the_new_tokens_and_its_teacher_the_old(values: dict[str, Any], tmp_path: Path) -> None:
    steps = ["vocabulary", {"feed_forward": {"keep": 0.5}}, {"recover": {"epochs": 2}}]
    run = verbs.fit(build(Recipe, {**values, "compress": steps, "export": [], "check": []}), tmp_path)
    assert read_json(run.model / "scores.json")["validation"]["accuracy"] > 0.8


def test_a_model_that_writes_loses_tokens_on_both_sides(tiny_gpt: Path, tmp_path: Path) -> None:
    lines = [{"text": "the film was good the film was bad"}] * 40
    write_lines(tmp_path / "data/train.jsonl", lines)
    write_lines(tmp_path / "data/test.jsonl", lines[:4])
    train = {"learning_rate": 1e-2, "num_train_epochs": 2, "per_device_train_batch_size": 8, "bf16": False}
    task = {"text-generation": {"max_length": 16, "generation": {"max_new_tokens": 4, "do_sample": False}}}
    given = {"recipe": "gpt", "task": task, "data": str(tmp_path / "data"), "model": str(tiny_gpt), "train": train}
    run = verbs.fit(build(Recipe, {**given, "compress": ["vocabulary"]}), tmp_path / "run")
    before = Predictor.around(load_trained(run.trained), run.trained)(["the film", "the film was good the"])
    after = Predictor.open(run.path, "pytorch")(["the film", "the film was good the"])
    assert [answer.text for answer in after] == [answer.text for answer in before]
    plain = AutoModelForCausalLM.from_pretrained(run.model)
    assert plain.get_output_embeddings().weight.shape[0] == len(read_json(run.model / KEPT)) < 39
