"""Writing from a bundle: equal to PyTorch token for token, with beams, stop strings, samples and streams."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hfrecipes import Cache, Predictor
from hfrecipes.checkpoint import copy_reader, load_trained, save_trained
from hfrecipes.errors import UserError
from hfrecipes.folder import seal
from hfrecipes.models import Model, load_config, load_model, save_tokenizer
from hfrecipes.recipes.gpt import GptRecipe
from hfrecipes.recipes.t5 import T5Recipe
from hfrecipes.targets.cpu import Cpu
from hfrecipes.tasks import Task
from hfrecipes.tokenizers.bpe import Bpe
from tests.conftest import WORDS, sentiment


@pytest.fixture(scope="module", params=["gpt", "t5"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint that writes, as it was drawn, and its bundle."""
    family = {"gpt": GptRecipe, "t5": T5Recipe}[request.param].family
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


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}])
def test_fifty_prompts_are_answered_token_for_token(folders: tuple[Path, Path], options: dict[str, Any]) -> None:
    checkpoint, bundle = folders
    ours, theirs = Predictor.open(bundle, "fp32", **options), Predictor.open(checkpoint, **options)
    asked = prompts(50)
    together = ours(asked)
    assert len(together) == 50
    assert together == theirs(asked)
    assert [ours(text) for text in asked[:12]] == together[:12]


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
