"""Frozen blocks computed once: the same numbers, the same weights, and a store that is shared, bounded and never torn."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hfrecipes import feature_store, verbs
from hfrecipes.config import build
from hfrecipes.errors import RunError
from hfrecipes.feature_store import Space, evict, key_of, sizes
from hfrecipes.features import Frozen
from hfrecipes.folder import read_json
from hfrecipes.objectives import Objective
from hfrecipes.prefix import Prefix
from hfrecipes.recipe import Recipe
from tests.conftest import Open, sentiment, write_lines
from tests.strategies.test_contract import CASES, batch


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(feature_store.WHERE, str(tmp_path / "features"))
    return tmp_path / "features"


@pytest.mark.parametrize(("family", "head"), CASES)
@pytest.mark.parametrize("count", [1, 2])
def test_a_model_goes_on_from_what_its_lower_blocks_said(family: str, head: str, count: int, fresh: Open) -> None:
    model = fresh(family, head).eval()
    rows = batch(head)
    wanted = model(**rows).logits
    prefix = Prefix(model)
    inputs = {name: tensor for name, tensor in rows.items() if name != "labels"}
    states = prefix.states(inputs, count)
    prefix.cut(count)
    with prefix.resumed(states):
        torch.testing.assert_close(model(**rows).logits, wanted, atol=1e-6, rtol=0)
    with prefix.resumed(states.flip(-1)):
        assert not torch.allclose(model(**rows).logits, wanted, atol=1e-3)
    prefix.cut(0)
    torch.testing.assert_close(model(**rows).logits, wanted, atol=0, rtol=0)
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("kind", ["llama", "distilbert", "roberta", "modernbert", "mt5"])
def test_other_architectures_are_cut_by_the_same_rule(kind: str) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(0)
    small: dict[str, Any] = {
        "llama": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
        "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
        "roberta": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
        "modernbert": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
        "mt5": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2},
    }[kind]
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "cls_token_id": 2, "sep_token_id": 1}
    config = AutoConfig.for_model(kind, vocab_size=64, num_labels=2, **small, **special)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    rows = batch("text-classification")
    rows["input_ids"] = torch.where(rows["input_ids"] == 1, 3, rows["input_ids"])
    rows["input_ids"].scatter_(1, rows["attention_mask"].sum(1, keepdim=True) - 1, 1)  # one end in every row, for mt5
    wanted = model(**rows).logits
    prefix = Prefix(model)
    for count in (1, 2):
        states = prefix.states({name: tensor for name, tensor in rows.items() if name != "labels"}, count)
        prefix.cut(count)
        with prefix.resumed(states):
            torch.testing.assert_close(model(**rows).logits, wanted, atol=1e-6, rtol=0)
        prefix.cut(0)


def test_states_are_computed_in_evaluation_and_leave_the_model_as_it_was(fresh: Open) -> None:
    model = fresh("bert", "text-classification").train()
    model.bert.encoder.layer[0].output.dropout.p = 0.9
    inputs = {name: tensor for name, tensor in batch("text-classification").items() if name != "labels"}
    prefix = Prefix(model)
    assert torch.equal(prefix.states(inputs, 2), prefix.states(inputs, 2))
    assert model.training


def arrays(count: int, seed: int = 0) -> list[tuple[bytes, np.ndarray]]:
    draw = np.random.default_rng(seed)
    return [(key_of(bytes([seed]), str(i).encode()), draw.random((i % 5 + 1, 4), dtype=np.float32)) for i in range(count)]


def test_rows_come_back_as_they_were_written_from_several_files(tmp_path: Path) -> None:
    space = Space(tmp_path / "space", 4, "float32")
    one, two = arrays(3000), arrays(10, seed=1)
    space.add(iter(one))
    space.add(two)
    keys = [key for key, _ in [*two, *one][::-1]]
    found = space.open(keys)
    assert len(found) == 3010
    assert all(np.array_equal(found[i], array) for i, (_, array) in enumerate([*two, *one][::-1]))
    assert not found[0].flags.owndata
    assert not found[0].flags.writeable
    assert space.missing([key_of(b"new"), keys[0], key_of(b"new"), key_of(b"other")]) == [0, 3]


def test_a_row_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="1 of 1 rows are not in the store"):
        Space(tmp_path / "space", 4, "float32").open([key_of(b"new")])


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def rows() -> Iterator[tuple[bytes, np.ndarray]]:
        yield from arrays(2000)
        raise OSError(errno.ENOSPC, "No space left on device")

    space = Space(tmp_path / "space", 4, "float32")
    with pytest.raises(RunError, match="the disk is full"):
        space.add(rows())
    assert list((tmp_path / "space").iterdir()) == []


def test_the_files_used_the_longest_ago_go_first(tmp_path: Path) -> None:
    import os

    spaces = [Space(tmp_path / name, 4, "float32") for name in "abc"]
    for age, space in enumerate(spaces):
        space.add(arrays(100, seed=age))
        for file in space.folder.glob("*.arrow"):
            os.utime(file, (age, age))
    size = sizes(tmp_path)[0][1]
    spaces[0].open([arrays(1)[0][0]])  # a is used again
    gone = evict(tmp_path, int(2.5 * size))
    assert [file.parent.name for file in gone] == ["b"]
    assert [name for name, _, _ in sizes(tmp_path)] == ["a", "c"]
    assert evict(tmp_path, 0, keep=[spaces[0].folder]) != []
    assert [name for name, _, _ in sizes(tmp_path)] == ["a"]


def write(folder: str, seed: int) -> None:
    for part in range(5):
        Space(Path(folder), 4, "float32").add(arrays(200, seed=10 * seed + part))


def test_two_processes_write_and_read_one_space(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write, args=(str(tmp_path / "space"), seed)) for seed in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    every = [row for seed in (1, 2) for part in range(5) for row in arrays(200, seed=10 * seed + part)]
    found = Space(tmp_path / "space", 4, "float32").open([key for key, _ in every])
    assert all(np.array_equal(found[i], array) for i, (_, array) in enumerate(every))


def recipe(tmp_path: Path, model: Path, strategy: Any, family: str = "bert", **train: Any) -> Recipe:
    write_lines(tmp_path / "data/train.jsonl", sentiment(64))
    off = {
        "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        "gpt": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
        "t5": {"dropout_rate": 0.0, "classifier_dropout": 0.0},
    }[family]
    options = {"num_train_epochs": 3, "learning_rate": 5e-2, "bf16": False, "per_device_train_batch_size": 8, **train}
    values = {
        "recipe": family,
        "task": "text-classification",
        "data": str(tmp_path / "data"),
        "model": {"path": str(model), "config": off},
        "strategy": strategy,
        "fast_path": ["allocator"],
        "optimizer": "momentum",  # Adam makes steps of the noise where a gradient is 0, as that of the bias of keys is
        "train": options,
    }
    return build(Recipe, values)


@pytest.mark.parametrize("strategy", ["feature_extraction", "gradual_unfreezing", "head_then_full"])
@pytest.mark.parametrize("family", ["bert", "gpt", "t5"])
def test_a_training_from_the_store_gives_the_weights_of_one_without(
    strategy: str, family: str, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path, home: Path
) -> None:
    model = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]
    epochs = 5 if family == "t5" and strategy == "gradual_unfreezing" else 3
    found = {}
    for cached in (True, False):
        made = recipe(tmp_path, model, {strategy: {"cached": cached}}, family, num_train_epochs=epochs)
        run = verbs.fit(made, tmp_path / f"run_{cached}")
        found[cached] = load_file(run.model / "model.safetensors")
    assert len(sizes(home)) >= 1
    assert found[True].keys() == found[False].keys()
    for name, weight in found[False].items():
        torch.testing.assert_close(found[True][name], weight, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("strategy", ["feature_extraction", "gradual_unfreezing", "head_then_full"])
def test_behind_the_last_block_the_first_token_is_enough_for_a_head_that_reads_it(
    strategy: str, tiny_bert: Path, tmp_path: Path, home: Path
) -> None:
    found, size = {}, {}
    for settings in (("first_token",), ()):
        made = dataclasses.replace(recipe(tmp_path, tiny_bert, strategy, num_train_epochs=3), fast_path=settings)
        before = sum(held for _, held, _ in sizes(home))
        found[settings] = load_file(verbs.fit(made, tmp_path / f"run{len(settings)}").model / "model.safetensors")
        size[settings] = sum(held for _, held, _ in sizes(home)) - before
    first, every = found.values()
    for name, weight in every.items():
        torch.testing.assert_close(first[name], weight, atol=1e-6, rtol=1e-5)
    if strategy != "gradual_unfreezing":  # which needs every token behind the block below, in both trainings
        assert 0 < size[("first_token",)] < size[()] / 2


def test_a_loss_that_looks_inside_gets_every_token(tiny_bert: Path, finished: Path, tmp_path: Path, home: Path) -> None:
    taught = {"distill": {"teacher": str(finished), "losses": ["hidden_states"]}}
    found = {}
    for settings in (("first_token",), ()):
        made = recipe(tmp_path, tiny_bert, "feature_extraction")
        made = dataclasses.replace(made, fast_path=settings, objective=Objective.choose(taught))
        run = verbs.fit(made, tmp_path / f"run{len(settings)}")
        found[settings] = [entry["loss"] for entry in read_json(run.model / "history.json") if "loss" in entry]
    assert found[("first_token",)] == pytest.approx(found[()], abs=1e-5)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """The passes that are made: over how many rows, and behind which numbers of blocks."""
    found: list[tuple[int, list[str]]] = []
    original = Frozen._computed

    def counted(self: Frozen, rows: Any, counts: Any) -> Any:
        found.append((len(rows), list(counts)))
        return original(self, rows, counts)

    monkeypatch.setattr(Frozen, "_computed", counted)
    return found


def test_a_second_run_computes_nothing(tiny_bert: Path, tmp_path: Path, passes: list[tuple[int, list[str]]]) -> None:
    verbs.fit(recipe(tmp_path, tiny_bert, "feature_extraction"), tmp_path / "one")
    assert sum(rows for rows, _ in passes) > 0
    before = len(passes)
    verbs.fit(recipe(tmp_path, tiny_bert, "feature_extraction", learning_rate=1e-3), tmp_path / "two")
    verbs.fit(recipe(tmp_path, tiny_bert, "head_then_full"), tmp_path / "three")
    assert len(passes) == before


def test_the_stages_of_a_training_are_computed_in_one_pass(
    tiny_bert: Path, tmp_path: Path, passes: list[tuple[int, list[str]]], home: Path
) -> None:
    verbs.fit(recipe(tmp_path, tiny_bert, "gradual_unfreezing"), tmp_path / "run")
    assert [counts for _, counts in passes] == [["1", "2"], ["1", "2"]], (
        "once for the training rows, once for those of validation"
    )
    assert len(sizes(home)) == 2


def test_other_weights_and_other_depths_are_other_spaces(fresh: Open) -> None:
    def space(model: Any, count: int, bf16: bool = False) -> str:
        return Frozen(model, lambda _: 0, 1, lambda _: {}, left=False, bf16=bf16).space(count).folder.name

    model = fresh("bert", "text-classification")
    seen = {space(model, 1), space(model, 2), space(model, 2, bf16=True)}
    assert len(seen) == 3
    assert space(fresh("bert", "token-classification"), 2) == space(model, 2)
    with torch.no_grad():
        model.classifier.weight += 1
        assert space(model, 2) in seen
        model.bert.encoder.layer[1].output.dense.weight[0, 0] += 1e-3
    assert space(model, 1) in seen
    assert space(model, 2) not in seen


def test_sixteen_bits_are_near_to_thirty_two(tiny_bert: Path, tmp_path: Path) -> None:
    from hfrecipes import Report

    reached = {}
    for bf16 in (True, False):
        run = verbs.fit(recipe(tmp_path, tiny_bert, "feature_extraction", bf16=bf16), tmp_path / f"run_{bf16}")
        reached[bf16] = Report.load(run.path).values["validation"]["loss"]
    assert reached[True] == pytest.approx(reached[False], abs=0.02)


def test_the_command_shows_and_bounds_the_store(home: Path) -> None:
    from typer.testing import CliRunner

    from hfrecipes.cli import app

    Space(home / "space", 4, "float32").add(arrays(500))
    shown = CliRunner().invoke(app, ["features"]).output
    assert "space" in shown
    bounded = CliRunner().invoke(app, ["features", "--limit", "0"]).output
    assert "deleted 1 files" in bounded
    assert sizes(home) == []
