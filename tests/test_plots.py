"""Plots: a PNG where there is something to show, None where there is not."""

from __future__ import annotations

from pathlib import Path

from hfrecipes.plots import WORST, draw_confusion, draw_frontier, draw_loss, draw_reliability

PNG = b"\x89PNG"


def is_png(file: Path) -> bool:
    """Whether a file is a picture of some size."""
    return file.read_bytes()[:4] == PNG and file.stat().st_size > 2000


def test_the_loss_of_training_and_validation_is_drawn(tmp_path: Path) -> None:
    history = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": 1.0},
        {"step": 2, "eval_loss": 1.5},
        {"step": 2, "train_runtime": 1.0},
    ]
    assert draw_loss(history, tmp_path / "loss.png") == "loss.png"
    assert is_png(tmp_path / "loss.png")


def test_no_history_is_no_plot(tmp_path: Path) -> None:
    assert draw_loss([{"step": 1, "train_runtime": 1.0}], tmp_path / "loss.png") is None
    assert not (tmp_path / "loss.png").exists()


def test_confused_classes_are_drawn_also_when_there_are_many_or_none(tmp_path: Path) -> None:
    many = [f"class {i}" for i in range(3 * WORST)]
    assert draw_confusion(many[1:] + many[:1], many, tmp_path / "many.png") == "many.png"
    assert draw_confusion(many, many, tmp_path / "none.png") == "none.png"
    assert is_png(tmp_path / "many.png")
    assert is_png(tmp_path / "none.png")


def test_numbers_and_lists_have_no_confusion(tmp_path: Path) -> None:
    assert draw_confusion([1.0], [1.0], tmp_path / "x.png") is None
    assert draw_confusion([[1, 0]], [[1, 0]], tmp_path / "x.png") is None
    assert draw_confusion([], [], tmp_path / "x.png") is None


def test_the_frontier_of_one_and_of_two_candidates_is_drawn(tmp_path: Path) -> None:
    facts = {"name": "pytorch", "p50_ms": 2.0, "mb": 90.0, "scores": {"accuracy": 0.9}}
    small = {**facts, "name": "cpu/int8", "p50_ms": 0.5, "mb": 23.0}
    assert draw_frontier([facts], "accuracy", tmp_path / "one.png") == "one.png"
    assert draw_frontier([facts, small], "accuracy", tmp_path / "two.png") == "two.png"
    assert is_png(tmp_path / "one.png")
    assert is_png(tmp_path / "two.png")


def test_the_reliability_of_claims_is_drawn_and_nothing_without_any(tmp_path: Path) -> None:
    bins = [{"count": 3, "confidence": 0.3, "right": 0.4}, {"count": 9, "confidence": 0.9, "right": 0.8}]
    assert draw_reliability(bins, 0.1, tmp_path / "reliability.png") == "reliability.png"
    assert (tmp_path / "reliability.png").stat().st_size > 1000
    assert draw_reliability([], 0.0, tmp_path / "none.png") is None
