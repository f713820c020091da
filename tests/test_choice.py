"""Choice: the fastest graph that the checks let through."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Predictor, choice
from hfrecipes.checkpoint import copy_reader, load_trained
from hfrecipes.choice import Choice, choose, cost
from hfrecipes.folder import Run, opened, read_json
from hfrecipes.recipe import Recipe
from hfrecipes.stages.export import batches
from hfrecipes.targets.cpu import Cpu
from tests.conftest import TIMED, sentiment

ROWS = sentiment(40, start=300)


@pytest.fixture(scope="module")
def made(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A bundle with all the graphs that a run on a CPU chooses from, and their descriptions."""
    bundle = tmp_path_factory.mktemp("bundle")
    graphs = Cpu().export(load_trained(finished / "model").eval(), batches(Run.open(finished)), bundle)
    copy_reader(finished / "model", bundle)
    return bundle, {name: dataclasses.asdict(graph) for name, graph in graphs.items()}


def recipe(finished: Path, *overrides: str) -> Recipe:
    """The recipe of the finished run, changed."""
    return Recipe.load(finished / "recipe.yaml", overrides)


def times(monkeypatch: pytest.MonkeyPatch, **alone: float) -> None:
    """Let graphs take so many milliseconds a text."""
    found = {name.replace("_", "/"): {"p50_ms": ms, "p95_ms": ms, "list_ms": ms} for name, ms in alone.items()}
    monkeypatch.setattr(choice, "timed", lambda candidates, rows: found)


def test_the_fastest_is_chosen_of_those_that_pass(
    made: tuple[Path, dict[str, Any]], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, graphs = made
    assert list(graphs) == ["fp32", "int8/dynamic", "int8/static"]
    times(monkeypatch, fp32=3.0, int8_dynamic=1.0, int8_static=2.0)
    found = choose(recipe(finished), bundle, graphs, Cpu(), ROWS)
    assert found.name == "int8/dynamic"
    assert [entry["failed"] for entry in found.table] == [[], [], []]
    small = choose(recipe(finished, "check=[{size: {max_mb: 0.0001}}]"), bundle, graphs, Cpu(), ROWS)
    assert small.name == "int8/dynamic" and all("size: " in entry["failed"][0] for entry in small.table)
    times(monkeypatch, fp32=0.5, int8_dynamic=1.0, int8_static=2.0)
    assert choose(recipe(finished), bundle, graphs, Cpu(), ROWS).name == "fp32"
    limit = (bundle / "onnx/model.onnx").stat().st_size / 1e6 - 0.001
    smaller = choose(recipe(finished, f"check=[{{size: {{max_mb: {limit}}}}}]"), bundle, graphs, Cpu(), ROWS)
    assert smaller.name == "int8/dynamic" and [bool(entry["failed"]) for entry in smaller.table] == [True, False, False]


def test_answers_that_stand_by_themselves_are_worth_a_tenth_of_the_time() -> None:
    alone = {"p50_ms": 1.0, "list_ms": 1.0, "batch_dependent": False}
    assert cost(alone) < cost({**alone, "batch_dependent": True, "p50_ms": 0.95})
    assert cost(alone) > cost({**alone, "batch_dependent": True, "p50_ms": 0.8})


def test_without_checks_candidates_must_answer_like_the_first(
    made: tuple[Path, dict[str, Any]], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, graphs = made
    times(monkeypatch, fp32=3.0, int8_dynamic=1.0, int8_static=2.0)
    other = {**graphs["int8/dynamic"], "file": "onnx/other.onnx"}
    wrong = shutil.copyfile(bundle / "onnx/model.onnx", bundle / other["file"])
    _turned(Path(wrong))
    found = choose(recipe(finished, "check=[]"), bundle, {**graphs, "int8/dynamic": other}, Cpu(), ROWS)
    assert found.name == "int8/static"
    assert "parity: " in found.table[1]["failed"][0]


def test_a_minimum_that_the_model_misses_does_not_let_the_worst_graph_through(
    made: tuple[Path, dict[str, Any]], finished: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bundle, graphs = made
    times(monkeypatch, fp32=3.0, int8_dynamic=1.0, int8_static=2.0)
    other = {**graphs["int8/dynamic"], "file": "onnx/worse.onnx"}
    _turned(Path(shutil.copyfile(bundle / "onnx/model.onnx", bundle / other["file"])))
    rows = [{**row, "label": "positive"} if i % 3 else row for i, row in enumerate(ROWS)]  # of which no model is right
    asked = recipe(finished, "check=[{quality: {minimum: 0.99, max_drop: 0.05}}]")
    found = choose(asked, bundle, {**graphs, "int8/dynamic": other}, Cpu(), rows)
    assert [bool(entry["failed"]) for entry in found.table] == [False, True, False]
    assert found.name == "int8/static"
    [said] = caplog.messages
    assert said.startswith("fp32: quality: accuracy 0.") and "bound 0.99" in said


def test_the_rest_of_the_variants_is_deleted(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    bundle, graphs = made
    copied = Path(shutil.copytree(bundle, tmp_path / "cpu"))
    kept = Choice("int8/static", []).keep(copied, graphs)
    assert kept == {"fp32": graphs["fp32"], "int8": graphs["int8/static"]}
    assert (copied / "onnx/model.onnx").is_file() and (copied / "onnx/model_static.onnx").is_file()
    assert not (copied / "onnx/model_dynamic.onnx").exists()
    assert list(Choice("fp32", []).keep(copied, {"fp32": graphs["fp32"], "int8/static": graphs["int8/static"]})) == ["fp32"]
    assert not (copied / "onnx/model_static.onnx").exists()


def test_the_table_of_all_candidates_stays_in_the_bundle_and_in_the_report(finished: Path) -> None:
    manifest = opened(finished / "bundles/cpu")
    assert [entry["name"] for entry in manifest["choice"]] == ["fp32", "int8/dynamic", "int8/static"]
    assert all(entry["p50_ms"] > 0 and entry["list_ms"] > 0 and entry["mb"] > 0 for entry in manifest["choice"])
    assert list(manifest["graphs"]) == ["fp32", "int8"]
    assert read_json(finished / "report.json")["choices"] == {"cpu": manifest["choice"]}
    assert "| int8/static |" in (finished / "report.md").read_text("utf-8")


def _turned(file: Path) -> None:
    """Let a graph give the logits of its two classes the other way round."""
    import numpy as np
    import onnx_ir as ir

    model = ir.load(file)
    found = [name for name in model.graph.initializers if name.startswith("classifier.")]
    assert found
    for name in found:
        value = model.graph.initializers[name]
        assert value.const_value is not None
        value.const_value = ir.tensor(np.ascontiguousarray(value.const_value.numpy()[::-1]), name=name)
    ir.save(model, file)


def test_candidates_are_timed_in_turns(made: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, graphs = made
    monkeypatch.setattr(choice, "SECONDS", 0.01)
    candidates = {name: Predictor.over(bundle, graph, Cpu.providers) for name, graph in graphs.items()}
    found = TIMED(candidates, [{"text": row["text"]} for row in ROWS[:5]])
    assert list(found) == list(graphs)
    assert all(0 < ms < 1000 for ways in found.values() for ms in ways.values())


def test_a_quick_model_is_not_timed_longer_than_is_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick:
        asked = 0

        def together(self, rows: list[Any]) -> list[Any]:
            Quick.asked += 1
            return rows

        answer = together

    monkeypatch.setattr(choice, "SECONDS", 3600.0)
    monkeypatch.setattr(choice, "TURNS", 3)
    candidates: Any = {"one": Quick(), "other": Quick()}
    assert set(TIMED(candidates, [{"text": row["text"]} for row in ROWS])) == {"one", "other"}
    assert Quick.asked == 2 * 3 * (8 + 1)
