"""Frontier: combinations of values, each trained once, measured together, one picked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import load_from_disk

from hfrecipes import Predictor
from hfrecipes.cli import main
from hfrecipes.errors import CheckFailed, RecipeError
from hfrecipes.folder import opened, read_json, size
from hfrecipes.frontier import Frontier, combinations, frontier, short
from hfrecipes.measurement import score
from hfrecipes.metrics.accuracy import Accuracy
from hfrecipes.pick import Candidate, Pick, marked
from hfrecipes.report import Report

Write = Callable[..., Path]
GRID = {"compress": [[], [{"heads": {"keep": 0.5}}]], "model.layers": [2, 1]}


def candidate(name: str, score: float, p50: float, mb: float) -> Candidate:
    """A candidate whose 95th percentile is twice its median."""
    return Candidate(name, "runs/x", "cpu/int8", score, p50, 2 * p50, p50 / 2, mb)


MADE = [candidate("large", 0.95, 4.0, 90.0), candidate("small", 0.94, 1.0, 20.0), candidate("tiny", 0.80, 0.1, 1.0)]


@pytest.mark.parametrize(
    ("pick", "name"),
    [
        (Pick(), "tiny"),
        (Pick(max_drop=0.02), "small"),
        (Pick(max_drop=0.0), "large"),
        (Pick(minimum=0.9, max_mb=50), "small"),
        (Pick(p95_ms=0.5), "tiny"),
    ],
)
def test_the_fastest_that_keeps_to_the_rule_is_picked(pick: Pick, name: str) -> None:
    found, reason = pick.choose(MADE, lower=False)
    assert found is not None and found.name == name
    assert reason.startswith(f"{name}: the fastest of ")


def test_a_figure_that_is_better_low_is_read_the_other_way() -> None:
    losses = [candidate("worse", 3.0, 1.0, 1.0), candidate("better", 2.0, 4.0, 1.0)]
    found, _ = Pick(max_drop=0.5).choose(losses, lower=True)
    assert found is not None and found.name == "better"
    found, _ = Pick(minimum=3.5).choose(losses, lower=True)
    assert found is not None and found.name == "worse"


def test_what_nothing_meets_is_named_with_the_nearest_miss() -> None:
    found, reason = Pick(max_drop=0.02, p95_ms=0.1).choose(MADE, lower=False)
    assert found is None
    assert reason == "nothing keeps to p95_ms 0.1. The nearest miss is tiny (0.8000, p95 0.20 ms, 1.0 MB)"
    found, reason = Pick(max_drop=0.02, p95_ms=1.9).choose(MADE, lower=False)
    assert found is None
    assert reason.startswith("nothing keeps to max_drop 0.02 and p95_ms 1.9 at once. The nearest is small")
    assert reason.endswith("which misses p95_ms 1.9")


def test_the_pareto_set_is_what_no_other_beats() -> None:
    beaten = candidate("beaten", 0.93, 1.0, 25.0)
    same = candidate("same", 0.94, 1.0, 20.0)
    found = {c.name: c.best for c in marked([*MADE, beaten, same], lower=False)}
    assert found == {"large": True, "small": True, "tiny": True, "beaten": False, "same": True}
    assert [c.best for c in marked(MADE, lower=True)] == [False, False, True]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, "none"),
        ([], "none"),
        (3, "3"),
        ([{"heads": {"keep": 0.5}}, "magnitude", {"recover": {"epochs": 2, "objective": "supervised"}}],
         "heads(keep=0.5)+magnitude+recover(epochs=2,objective=supervised)"),
        ({"path": "x", "layers": 3}, "path=x,layers=3"),
    ],
)  # fmt: skip
def test_values_in_few_words(entry: Any, words: str) -> None:
    assert short(entry) == words


def test_combinations_that_share_a_training_follow_each_other(recipe_file: Write) -> None:
    found = combinations(recipe_file(frontier=GRID))
    assert [c.values["model.layers"] for c in found] == [2, 2, 1, 1]
    assert len({c.folder for c in found}) == 4 and len({c.training for c in found}) == 2
    assert found[1].name == "layers=2 compress=heads(keep=0.5)"
    assert all(not c.recipe.frontier for c in found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "bert.frontier: names nothing to combine. Write keys and their values"),
        ({"frontier": {"strategi": ["full"]}}, "unknown key 'strategi'"),
        ({"frontier": {"strategy": ["ful"]}}, "unknown strategy 'ful'. Did you mean 'full'"),
        ({"frontier": {"strategy": []}}, "frontier.strategy"),
        ({"frontier": GRID, "export": []}, "bert.export: names no target"),
        ({"frontier": GRID, "pick": {"max_dorp": 1}}, "unknown key 'max_dorp'"),
        ({"frontier": GRID, "pick": {"max_mb": 0}}, "bert.pick.max_mb: should be greater than 0"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(
    changes: dict[str, Any], said: str, recipe_file: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["frontier", str(recipe_file(**changes)), "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def drawn(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Frontier:
    """The frontier of two layers or one, as they are and with half of the heads."""
    from hfrecipes.config import to_yaml

    folder = tmp_path_factory.mktemp("frontier")
    train = {**values["train"], "num_train_epochs": 2}
    (folder / "tiny.yaml").write_text(
        to_yaml({**values, "train": train, "frontier": GRID, "pick": {"max_drop": 0.2}, "check": ["parity"]}), "utf-8"
    )
    return frontier(folder / "tiny.yaml", folder / "out")


def test_every_graph_of_every_combination_and_two_baselines_are_measured(drawn: Frontier) -> None:
    names = [c.name for c in drawn.candidates]
    assert len(names) == len(set(names)) == 4 * 2 + 2
    assert {"tf-idf", "static embeddings"} < set(names)
    assert [c.score for c in drawn.candidates] == sorted((c.score for c in drawn.candidates), reverse=True)
    assert any(c.best for c in drawn.candidates)
    assert {c.name for c in drawn.candidates if c.run is None} == {"tf-idf", "static embeddings"}
    written = read_json(drawn.path / "frontier.json")
    assert [entry["name"] for entry in written["candidates"]] == names
    assert (drawn.path / "frontier.png").stat().st_size > 10_000
    assert "| picked |" in (drawn.path / "frontier.md").read_text("utf-8")


def test_a_training_that_two_share_is_done_once(drawn: Frontier) -> None:
    trainings = {read_json(record)["finished"] for record in drawn.path.glob("runs/*/stages/train.json")}
    assert (len(list(drawn.path.glob("runs/*"))), len(trainings)) == (4, 2)
    assert len(list(drawn.path.glob("runs/*/trained/model.safetensors"))) == 2


def test_the_picked_run_answers_and_was_measured_on_the_test_split(drawn: Frontier) -> None:
    picked = drawn.picked
    assert picked is not None and picked.run is not None and picked.graph is not None
    report = Report.load(drawn.path / picked.run)
    assert report.passed and report.values["split"] == "test"
    predictor = Predictor.open(drawn.path / picked.run, picked.graph, threads=1)
    held = list(load_from_disk(str(drawn.path / picked.run / "data/validation_rows")))
    assert score(predictor, held, [Accuracy()])[0]["accuracy"] == picked.score
    target, _, graph = picked.graph.partition("/")
    bundle = drawn.path / picked.run / "bundles" / target
    assert size(bundle / opened(bundle)["graphs"][graph]["file"]) / 1e6 == picked.mb


def test_a_second_time_nothing_is_trained_again(drawn: Frontier, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="hfrecipes"):
        again = frontier(drawn.path.parent / "tiny.yaml", drawn.path)
    assert "\ntrain\n" not in caplog.text and caplog.text.count("train: nothing has changed") >= 4
    assert {c.name: c.score for c in again.candidates} == {c.name: c.score for c in drawn.candidates}


def test_where_nothing_meets_the_rule_all_is_written_and_it_is_refused(drawn: Frontier, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"nothing keeps to max_mb 1e-05\. The nearest miss is"):
        frontier(drawn.path.parent / "tiny.yaml", drawn.path, ["pick={max_mb: 0.00001}"])
    assert read_json(drawn.path / "frontier.json")["picked"] is None


def test_without_a_grid_there_is_nothing_to_draw(recipe_file: Write, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="names nothing to combine"):
        frontier(recipe_file(), tmp_path / "out")
