"""Writing from a bundle: equal to PyTorch token for token, with beams, stop strings, samples and streams."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from hfrecipes import Cache, Predictor
from hfrecipes.checkpoint import copy_reader, load_trained, save_trained
from hfrecipes.errors import UserError
from hfrecipes.folder import read_json, seal
from hfrecipes.inference import admission
from hfrecipes.inference.generation import Writer
from hfrecipes.models import Model, load_config, load_model, save_tokenizer
from hfrecipes.recipes.gpt import GptRecipe
from hfrecipes.recipes.t5 import T5Recipe
from hfrecipes.targets import FIXED
from hfrecipes.targets._graph import NORMS
from hfrecipes.targets.cpu import Cpu
from hfrecipes.tasks import Task
from hfrecipes.tokenizers.bpe import Bpe
from tests.conftest import WORDS, sentiment

LLAMA = {"hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
"""A llama whose heads ONNX Runtime has an operator of its own for."""


@pytest.fixture(scope="module", params=["gpt", "t5", pytest.param("llama", marks=pytest.mark.slow)])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint that writes, as it was drawn, and its bundle."""
    family = {"gpt": GptRecipe, "t5": T5Recipe, "llama": GptRecipe}[request.param].family
    bpe = Bpe(vocab_size=400)
    made = bpe.wrap(bpe.train([row["text"] for row in sentiment(64)], family.architecture), family.architecture, 64)
    ids = {
        "vocab_size": len(made),
        "pad_token_id": made.pad_token_id,
        "bos_token_id": made.bos_token_id,
        "eos_token_id": made.eos_token_id,
    }
    new = {
        "gpt": Model(new="gpt2", config={"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.5}),
        "t5": Model(
            new="t5", config={"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "initializer_factor": 5.0}
        ),
        "llama": Model(new="llama", config={**LLAMA, "max_position_embeddings": 64, "initializer_range": 0.5}),
    }[request.param]
    task: Task = Task.choose({"summarization": {"max_length": 48, "max_target_length": 8, "generation": {"do_sample": False}}})
    checkpoint, bundle = tmp_path_factory.mktemp("checkpoint"), tmp_path_factory.mktemp("bundle")
    save_tokenizer(made, checkpoint / "tokenizer")
    head = task.heads[family.architecture]
    torch.manual_seed(0)
    model = load_model(new, head, load_config(new, {**ids, "decoder_start_token_id": made.pad_token_id}))
    save_trained(checkpoint, model, checkpoint / "tokenizer", task, head)
    tokens = np.arange(4, 28, dtype=np.int64).reshape(3, 8)
    graphs = Cpu().export(load_trained(checkpoint), [{"input_ids": tokens, "attention_mask": np.ones_like(tokens)}], bundle)
    copy_reader(checkpoint, bundle)
    described = {name: dataclasses.asdict(graph) for name, graph in graphs.items()}
    seal(bundle, {"target": "cpu", "providers": ["CPUExecutionProvider"], "default": "int8", "graphs": described})
    return checkpoint, bundle


def prompts(count: int) -> list[str]:
    """Texts of one to twelve words."""
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(WORDS, size=1 + i % 12)) for i in range(count)]


def test_every_graph_has_its_products_in_int8_behind_divided_norms(folders: tuple[Path, Path]) -> None:
    files = sorted((folders[1] / "onnx/int8").rglob("*.onnx"))
    outer = int(read_json(folders[0] / "config.json")["model_type"] != "llama")  # whose feed-forward does not narrow here
    assert [file.stem for file in files if file.stem != "model"] == ["decode", "prefill"]  # and the model of an encoder
    for file in files:
        graph = ir.load(file).graph
        kinds = Counter(node.op_type for node in graph)
        gains = [node.inputs[NORMS[node.op_type][0]].name for node in graph if node.op_type in NORMS]
        assert kinds["MatMulIntegerToFloat"] > kinds["MatMulNBits"] >= outer and not kinds["Gemm"]
        assert not [node for node in graph if node.op_type == "MatMul" and node.inputs[1].const_value is not None]
        assert sum("divided" in str(name) for name in gains) >= len(gains) - 1 > 0  # an encoder's last norm is its answer
    assert (folders[1] / "onnx/int8/decode.onnx.data").stat().st_size == 0, "a step reads the weights of the prompt's graph"


def test_a_prompt_is_read_for_the_logits_of_its_last_token_and_scored_by_those_of_all(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Predictor.open(folders[1])
    if writer.config.get("is_encoder_decoder"):
        assert FIXED in ir.load(folders[1] / "onnx/int8/decode.onnx").graph.initializers  # and in test_fixed.py what it does
        return
    shapes: list[list[int]] = []

    def noted(session: Any, names: Any, given: dict[str, Any]) -> list[Any]:
        found = run(session, names, given)
        shapes.append([given["input_ids"].shape()[1], found[0].shape()[1]])
        return found

    run = admission.run
    monkeypatch.setattr(admission, "run", noted)
    writer(prompts(3))
    reads = [length for length, _ in shapes if length > 1]
    assert reads and all(kept == 1 for _, kept in shapes)
    text = prompts(12)[11]
    ids = np.array([writer.tokens.tokenizer.encode(text).ids])
    said = writer.scorer({"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.size)[None]})
    assert said["logits"].shape[:2] == ids.shape


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}])
def test_fifty_prompts_are_answered_token_for_token(folders: tuple[Path, Path], options: dict[str, Any]) -> None:
    checkpoint, bundle = folders
    ours, theirs = Predictor.open(bundle, "fp32", **options), Predictor.open(checkpoint, **options)
    asked = prompts(50)
    together = ours(asked)
    assert len(together) == 50
    assert together == theirs(asked)
    assert [ours(text) for text in asked[:12]] == together[:12]


@pytest.mark.parametrize(("rows", "part"), [(1, 1), (3, 3), (5, 2), (16, 4)])
def test_rows_that_join_a_batch_are_written_as_alone(
    folders: tuple[Path, Path], rows: int, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "ROWS", rows)
    monkeypatch.setattr(admission, "PART", part)
    asked = [*prompts(24), *(" ".join(["the film was good and the end was bad"] * 3 + [text]) for text in prompts(9))]
    ends = _frequent(folders[0], asked)
    ours, theirs = (Predictor.open(*place, eos_token_id=ends) for place in ((folders[1], "fp32"), (folders[0],)))
    assert isinstance(ours.engine, Writer) and ours.engine.admission is not None
    exact = [_tokens(theirs, [text])[0] for text in asked]
    assert len({len(tokens) for tokens in exact}) > 2
    assert _tokens(ours, asked) == exact


def _frequent(checkpoint: Path, asked: list[str]) -> list[int]:
    """Two tokens that end rows early and late: the most frequent ones that the model writes."""
    written = Counter(token for tokens in _tokens(Predictor.open(checkpoint), asked) for token in set(tokens))
    return [token for token, _ in written.most_common(2)]


def _tokens(predictor: Predictor, asked: list[str]) -> list[list[int]]:
    """The new tokens of each row up to its end."""
    features = predictor.task.encode([predictor.task.row(text) for text in asked], predictor.tokens, predictor.config)
    writer: Any = predictor.engine
    ends = predictor.engine.options.get("eos_token_id") or [writer.model.generation_config.eos_token_id]
    found = []
    for line in writer(predictor.task.collate(features, predictor.tokens))["sequences"].tolist():
        length = next((i + 1 for i, token in enumerate(line) if token in ends), len(line))
        found.append(line[:length])
    return found


@pytest.mark.parametrize("options", [{"min_new_tokens": 5}, {"max_new_tokens": 1}, {"min_new_tokens": 8, "max_new_tokens": 8}])
def test_lengths_that_are_asked_for_are_kept(folders: tuple[Path, Path], options: dict[str, int]) -> None:
    asked = prompts(12)
    ours, theirs = (Predictor.open(*place, **options) for place in ((folders[1], "fp32"), (folders[0],)))
    assert ours(asked) == theirs(asked)


@pytest.mark.parametrize(
    "options",
    [{"num_beams": 2}, {"do_sample": True}, {"repetition_penalty": 1.2}, {"no_repeat_ngram_size": 2}, {"max_time": 9.0}],
)
def test_what_is_not_plainly_greedy_is_left_to_generate(folders: tuple[Path, Path], options: dict[str, Any]) -> None:
    writer = Predictor.open(folders[1], "fp32", **options).engine
    assert isinstance(writer, Writer) and writer.admission is None


def test_several_sessions_write_and_stream_as_one(folders: tuple[Path, Path]) -> None:
    one, several = Predictor.open(folders[1], "fp32"), Predictor.open(folders[1], "fp32", devices=["cpu", "cpu"])
    asked = prompts(24)
    assert several(asked) == one(asked)
    assert list(several.stream(asked[5])) == list(one.stream(asked[5]))


def test_the_pieces_of_a_stream_are_the_answer(folders: tuple[Path, Path]) -> None:
    predictor = Predictor.open(folders[1], "fp32")
    pieces = list(predictor.stream("the film was good"))
    assert len(pieces) >= 1
    assert "".join(pieces).strip() == predictor("the film was good").text


def test_samples_differ_and_stop_strings_stop(folders: tuple[Path, Path]) -> None:
    _, bundle = folders
    sampled = Predictor.open(bundle, "fp32", do_sample=True, temperature=5.0)
    assert len({sampled("the film was good").text for _ in range(8)}) > 1
    whole = Predictor.open(bundle, "fp32")("the film was good").text
    stop = whole[len(whole) // 2 :][:2]
    stopped = Predictor.open(bundle, "fp32", stop_strings=[stop])("the film was good").text
    assert stop in stopped
    assert len(stopped) < len(whole)


def test_what_was_written_is_cached_and_what_is_drawn_at_random_is_not(folders: tuple[Path, Path], tmp_path: Path) -> None:
    _, bundle = folders
    for _ in range(2):
        cache = Cache(file=tmp_path / "answers")
        written = Predictor.open(bundle, "fp32", cache=cache)("the film was good")
        cache.flush()
    assert (cache.hits, cache.misses) == (1, 0)
    assert written == Predictor.open(bundle, "fp32")("the film was good")
    longer = Cache(file=tmp_path / "answers")
    Predictor.open(bundle, "fp32", cache=longer, max_new_tokens=2)("the film was good")
    assert longer.misses == 1
    with pytest.raises(UserError, match="drawn at random"):
        Predictor.open(bundle, "fp32", cache=Cache(), do_sample=True)


def test_an_int8_bundle_writes_too(folders: tuple[Path, Path]) -> None:
    answers = Predictor.open(folders[1])(prompts(8))
    assert len(answers) == 8
    assert any(answer.text for answer in answers)


def test_a_task_that_does_not_write_has_no_stream(finished: Path) -> None:
    with pytest.raises(UserError, match="text-classification does not write"):
        next(Predictor.open(finished).stream("film"))
