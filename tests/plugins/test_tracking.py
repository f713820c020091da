"""Trackers get the figures of a run; those that are not there are refused before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.cli import main
from hfrecipes.report import Report
from tests.plugins.building import call


def read(folder: Path) -> dict[str, list[float]]:
    """The scalars of TensorBoard's files, in the order they were written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [event.value for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_has_the_training_and_what_every_candidate_is_worth(
    values: dict[str, Any], recipe_file: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = recipe_file(train={**values["train"], "num_train_epochs": 2, "report_to": "tensorboard"})
    done = call(sys.executable, "-m", "hfrecipes", "run", recipe, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    with pytest.raises(SystemExit) as again:
        main(["run", str(recipe), "-o", str(tmp_path / "run")])
    assert again.value.code == 0
    found = read(tmp_path / "run/tracking")
    report = Report.load(tmp_path / "run")
    assert len(found["train/loss"]) > 2 and len(found["eval/accuracy"]) >= 2
    for candidate in report.frontier:
        for name, figure in {**candidate.scores, "mb": candidate.mb}.items():
            assert found[f"test/{candidate.name}/{name}"] == [pytest.approx(figure)], "sent once, though the run was repeated"
    assert len(report.frontier) > 1
    assert found["test/checks/parity"] == [1.0]


@pytest.mark.parametrize(
    ("tracker", "said"),
    [
        ("comet_ml", "train.report_to: comet_ml is not installed. Install it: pip install comet_ml."),
        ("papers", "train.report_to: papers is not supported, only "),
    ],
)
def test_a_tracker_that_is_not_there_is_one_line(
    tracker: str, said: str, recipe_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", str(recipe_file()), f"train.report_to={tracker}", "-o", str(tmp_path / "run")])
    assert stopped.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("error: bert.") and said in told
    assert not (tmp_path / "run").exists()
