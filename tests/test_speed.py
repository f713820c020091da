"""Speed: every side is timed on every shape, on rows of the length that was asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hfrecipes import Predictor, speed
from hfrecipes.cli import main
from hfrecipes.folder import Run, read_json
from hfrecipes.speed import bench, lengthened, timed


@pytest.fixture(scope="module")
def run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run to write into."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("speed") / "run"))


@pytest.mark.parametrize("length", [4, 16, 50])
def test_rows_get_the_length_that_is_asked_for(length: int, finished: Path) -> None:
    predictor = Predictor.open(finished, "fp32")
    made = lengthened(predictor, {"text": "the film was good"}, length)
    [features] = predictor.task.encode([made], predictor.tokens, predictor.config)
    assert abs(len(features["input_ids"]) - length) <= 2
    assert lengthened(predictor, {"tokens": ["a", "b", "c"]}, 5) == {"tokens": ["a", "b", "c", "a", "b"]}


def test_sides_take_turns_and_the_first_turn_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.001)
    asked: list[tuple[str, int]] = []
    sides: dict[tuple[str, str], Callable[..., None]] = {
        (name, "cpu"): lambda rows, name=name: asked.append((name, len(rows))) for name in ("a", "b")
    }  # type: ignore[misc]
    found = timed(sides, [{"text": str(i)} for i in range(5)], batch=3)
    assert [name for name, _ in asked[:4]] == ["a", "b", "a", "b"] and {count for _, count in asked} == {3}
    assert len(found["a", "cpu"]) == len(found["b", "cpu"]) == len(asked) // 2 - 1


def test_every_graph_pytorch_and_the_pipeline_are_timed_on_every_shape(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    found = bench(Run.open(run), batches=[1, 4], lengths=[8, 16])
    sides = ["cpu/fp32", "cpu/int8", "pytorch", "transformers.pipeline"]
    assert [(t.batch, t.length, t.side) for t in found] == [
        (batch, length, side) for batch in (1, 4) for length in (8, 16) for side in sides
    ]
    assert all(0 < t.p50_ms <= t.p95_ms <= t.p99_ms and t.rows_per_s == pytest.approx(t.batch / t.p50_ms * 1000) for t in found)
    assert [entry["side"] for entry in read_json(run / "bench.json")["timings"]] == [t.side for t in found]
    assert (run / "bench.md").read_text("utf-8").count("| transformers.pipeline | cpu |") == 4
    assert (run / "bench.png").stat().st_size > 10_000


def test_the_command_prints_the_table(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(run), "--batches", "2", "--lengths", "8"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "transformers.pipeline" in out and "p99 ms" in out and out.endswith(f"{run / 'bench.md'}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--batches", "1,x"], "--batches: '1,x' is no list of numbers. Write them with commas: 1,8,32."),
        (["--lengths", "0"], "--lengths: '0' is no list of numbers"),
        (["--devices", "cuda:0"], "devices: 'cuda:0' is not what the bundle was made for"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(run), *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_run_without_bundles_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = Path(shutil.copytree(run, tmp_path / "run"))
    shutil.rmtree(bare / "bundles")
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(bare)])
    assert ended.value.code == 2
    assert "has no bundle that runs on cpu. Run `hfrecipes ship` on it" in capsys.readouterr().err
