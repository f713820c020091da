"""Stages: done once, and again when something changed."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from hfrecipes import Recipe, Run, distributed
from hfrecipes.config import build
from hfrecipes.errors import DataError, RunError
from hfrecipes.folder import read_json
from hfrecipes.stages import seconds, stage
from hfrecipes.verbs import begin, learn
from tests.conftest import sentiment, write_lines

SOURCE = {"value": "1"}


@pytest.fixture
def calls() -> list[str]:
    """What the stages of a test were called for."""
    return []


@pytest.fixture
def recipe(values: dict[str, Any]) -> Recipe:
    """The tiny recipe."""
    return build(Recipe, values)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """An empty run."""
    return Run.create(tmp_path / "run", {"recipe": "bert"}, "recipe: bert\n")


@pytest.fixture
def first(calls: list[str]) -> Any:
    """A stage that reads the block `train` and a source, and writes a folder."""

    @stage(blocks=("train",), outputs=("first",), source=lambda recipe, run: SOURCE["value"])
    def first(recipe: Recipe, run: Run) -> None:
        """Write a folder."""
        calls.append("first")
        (run.path / "first").mkdir(exist_ok=True)
        (run.path / "first/a.txt").write_text("content")

    return first


@pytest.fixture
def second(calls: list[str]) -> Any:
    """A stage after it that writes a file."""

    @stage(blocks=(), after=("first",), outputs=("second.txt",))
    def second(recipe: Recipe, run: Run) -> None:
        """Write a file."""
        calls.append("second")
        (run.path / "second.txt").write_text((run.path / "first/a.txt").read_text())

    return second


def test_a_stage_is_skipped_when_nothing_changed_and_says_so(
    recipe: Recipe, run: Run, first: Any, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "hfrecipes"):
        first(recipe, run)
        first(recipe, run)
    assert calls == ["first"]
    assert caplog.messages == ["first", "first: nothing has changed, skipped"]


def test_a_stage_is_done_again_when_a_block_that_it_reads_changed(recipe: Recipe, run: Run, first: Any, calls: list[str]) -> None:
    first(recipe, run)
    first(dataclasses.replace(recipe, seed=5), run)
    assert calls == ["first"]
    first(dataclasses.replace(recipe, train={"seed": 5}), run)
    assert calls == ["first", "first"]


@pytest.mark.parametrize("spoil", ["gone", "cut short"])
def test_a_stage_is_done_again_when_its_output_is_not_what_it_wrote(
    spoil: str, recipe: Recipe, run: Run, first: Any, calls: list[str]
) -> None:
    first(recipe, run)
    file = run.path / "first/a.txt"
    file.unlink()
    if spoil == "cut short":
        file.write_text("c")
    first(recipe, run)
    assert calls == ["first", "first"]
    assert file.read_text() == "content"


def test_what_a_later_stage_adds_to_an_output_changes_nothing(recipe: Recipe, run: Run, first: Any, calls: list[str]) -> None:
    first(recipe, run)
    (run.path / "first/b.txt").touch()
    first(recipe, run)
    assert calls == ["first"]


def test_a_stage_is_done_again_when_its_source_changed(
    recipe: Recipe, run: Run, first: Any, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first(recipe, run)
    monkeypatch.setitem(SOURCE, "value", "2")
    first(recipe, run)
    assert calls == ["first", "first"]


def test_a_stage_is_done_again_when_the_one_before_it_changed(
    recipe: Recipe, run: Run, first: Any, second: Any, calls: list[str]
) -> None:
    for given in (recipe, recipe, dataclasses.replace(recipe, train={"seed": 5})):
        first(given, run)
        second(given, run)
    assert calls == ["first", "second", "first", "second"]


def test_a_stage_refuses_to_start_before_the_one_it_needs(recipe: Recipe, run: Run, second: Any) -> None:
    with pytest.raises(RunError, match=r"second needs the stage 'first', which has not finished\. Run `hfrecipes fit` first"):
        second(recipe, run)


@pytest.mark.parametrize(("error", "kept"), [(DataError("data", "is wrong"), True), (KeyboardInterrupt(), False)])
def test_a_refusal_keeps_the_record_of_before_and_a_crash_does_not(
    error: BaseException, kept: bool, recipe: Recipe, run: Run, first: Any
) -> None:
    first(recipe, run)
    before = read_json(run.path / "stages/first.json")

    def fails(recipe: Recipe, run: Run) -> None:
        raise error

    fails.__name__ = "first"
    with pytest.raises(type(error)):
        stage(blocks=("seed",), outputs=("first",))(fails)(recipe, run)
    assert (run.path / "stages/first.json").is_file() is kept
    assert not kept or read_json(run.path / "stages/first.json") == before


def test_the_seconds_of_the_stages_are_in_the_order_they_were_done(recipe: Recipe, run: Run, first: Any, second: Any) -> None:
    first(recipe, run)
    second(recipe, run)
    assert list(seconds(run)) == ["first", "second"]


def test_a_stage_that_read_what_was_replaced_since_does_not_count(recipe: Recipe, run: Run, first: Any, second: Any) -> None:
    first(recipe, run)
    second(recipe, run)
    assert list(seconds(run)) == ["first", "second"]
    other = dataclasses.replace(recipe, train={**recipe.train, "num_train_epochs": 9})
    first(other, run)
    assert list(seconds(run)) == ["first"]
    second(other, run)
    assert list(seconds(run)) == ["first", "second"]


def test_a_stage_keeps_the_name_and_the_words_of_its_function(first: Any) -> None:
    assert (first.__name__, first.__doc__) == ("first", "Write a folder.")


def test_work_for_the_main_process_alone_gives_its_result() -> None:
    assert distributed.on_main(lambda: 3) == 3
    assert (distributed.processes(), distributed.is_main()) == (1, True)


def test_a_finished_run_that_is_run_again_changes_nothing_but_the_report(
    values: dict[str, Any], finished: Path, tmp_path: Path
) -> None:
    from hfrecipes import verbs

    run = Path(shutil.copytree(finished, tmp_path / "run"))
    records = {file.name: file.read_bytes() for file in (run / "stages").glob("*.json")}
    recipe = (run / "recipe.yaml").read_text()
    assert len(records) == 8
    verbs.run(build(Recipe, values), run)
    assert {file.name: file.read_bytes() for file in (run / "stages").glob("*.json")} == records
    assert (run / "recipe.yaml").read_text() == recipe
    assert "fingerprint: " in recipe


def test_other_rows_in_the_same_file_are_noticed(values: dict[str, Any], tiny_data: Path, run: Run, tmp_path: Path) -> None:
    from hfrecipes.stages.prepare import prepare

    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    recipe = build(Recipe, {**values, "data": str(data)})
    prepare(recipe, run)
    before = read_json(run.data / "facts.json")["fingerprint"]
    write_lines(data / "train.jsonl", sentiment(90))
    prepare(recipe, run)
    after = read_json(run.data / "facts.json")
    assert after["fingerprint"] != before
    assert sum(after["rows"].values()) == 90


def test_the_commit_of_a_data_set_on_the_hub_is_read_from_the_files_that_were_fetched(tiny_data: Path) -> None:
    from datasets import load_dataset

    from hfrecipes.stages.prepare import revision_of

    rows = load_dataset("json", data_files=str(tiny_data / "train.jsonl"))["train"]
    assert revision_of(rows) is None
    commit = "0123456789" * 4
    rows.info.download_checksums = {f"hf://datasets/nyu-mll/glue@{commit}/sst2/train-00000-of-00001.parquet": {"num_bytes": 1}}
    assert revision_of(rows) == commit


def test_rows_are_read_again_for_a_strategy_only_where_it_changes_the_tokenizer(
    values: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def skipped(strategy: Any) -> bool:
        caplog.clear()
        begin(build(Recipe, {**values, "strategy": strategy}), tmp_path / "run")
        return "prepare: nothing has changed, skipped" in caplog.messages

    with caplog.at_level("INFO", "hfrecipes"):
        found = [skipped(s) for s in ("full", "lora", {"prompt": {"tokens": 4}}, {"prompt": {"tokens": 5}}, "full")]
    assert found == [False, True, False, False, False]


@pytest.mark.parametrize(("new", "said"), [(False, True), (True, False)])
def test_a_rate_is_held_against_those_of_fine_tuning_where_a_model_is_fine_tuned(
    new: bool, said: bool, values: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = AutoConfig.from_pretrained(values["model"])
    sizes = {name: getattr(config, name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    other = {"model": {"new": "bert", "config": sizes}, "tokenizer": {"word": {"lowercase": True}}} if new else {}
    with caplog.at_level("WARNING", "hfrecipes"):
        learn(
            build(Recipe, {**values, **other, "train": {**values["train"], "learning_rate": 2e-2, "max_steps": 1}}),
            tmp_path / "run",
        )
    assert any("above the usual" in message for message in caplog.messages) is said
