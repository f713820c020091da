"""What a student keeps of its teacher: the figures are those of the answers, and an interval holds them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hfrecipes import bootstrap, retention
from hfrecipes.bootstrap import drawn
from hfrecipes.cli import app
from hfrecipes.errors import RunError
from hfrecipes.folder import read_json, write_json
from hfrecipes.metrics.squad import Squad
from hfrecipes.retention import compare, directions
from tests.contracts import make

Graded = Callable[[str, float], Path]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "DRAWS", 200)
    monkeypatch.setattr(retention, "ROUNDS", 1)


@pytest.fixture
def graded(finished: Path, tmp_path: Path) -> Graded:
    """Copies the finished run, with answers of which that share is right."""

    def made(name: str, share: float) -> Path:
        run = Path(shutil.copytree(finished, tmp_path / name))
        rows, noted = read_json(run / "answers/rows.json"), read_json(run / "answers/pytorch.json")
        right = [i % 32 < 32 * share for i in range(len(rows))]
        other = {"positive": "negative", "negative": "positive"}
        noted["predictions"]["served"] = [
            row["label"] if good else other[row["label"]] for row, good in zip(rows, right, strict=True)
        ]
        write_json(run / "answers/pytorch.json", noted)
        return run

    return made


def test_a_student_is_compared_with_its_teacher_and_with_itself_alone(graded: Graded) -> None:
    found = compare(graded("teacher", 1.0), graded("student", 0.875), graded("alone", 0.25))
    assert (found.figure, found.rows) == ("accuracy", 32)
    assert [side.score for side in found.sides] == [1.0, 0.875, 0.25]
    assert found.kept == 0.875
    assert found.kept_interval[0] < 0.875 < found.kept_interval[1] <= 1.0
    assert found.gain == 0.625
    assert found.gain_interval is not None
    assert 0 < found.gain_interval[0] < 0.625 < found.gain_interval[1]
    assert all(side.p50_ms > 0 and side.batched_ms > 0 and side.mb > 0 and side.training_s > 0 for side in found.sides)
    assert "which excludes zero" in found.sentences()[1]


def test_the_same_rows_are_drawn_for_all_models(graded: Graded) -> None:
    """Two models with the same answers are never apart, whatever rows are drawn."""
    found = compare(graded("teacher", 1.0), graded("student", 0.5), graded("alone", 0.5))
    assert found.gain_interval == (0.0, 0.0)
    assert "which holds zero" in found.sentences()[1]


@pytest.mark.parametrize(("name", "scores"), [("accuracy", (0.8, 0.4, 0.2)), ("perplexity", (10.0, 20.0, 40.0))])
def test_more_is_better_whatever_the_figure(name: str, scores: tuple[float, float, float]) -> None:
    kept, gain = directions(make("metrics", name))
    assert kept(scores) == 0.5
    assert gain(scores) > 0


def test_a_report_is_left_with_the_student(graded: Graded, finished: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    teacher, student = graded("teacher", 1.0), graded("student", 0.75)
    found = compare(teacher, student, candidate="cpu/int8")
    noted = read_json(student / "retention.json")
    assert noted["candidate"] == "cpu/int8"
    assert (noted["gain"], noted["gain_interval"]) == (None, None)
    assert noted["kept"] == found.kept
    model: Any = AutoModelForSequenceClassification.from_pretrained(finished / "model")
    assert found.sides[0].parameters == sum(weight.numel() for weight in model.parameters())


def test_runs_that_cannot_be_compared_are_refused(graded: Graded) -> None:
    teacher, student = graded("teacher", 1.0), graded("student", 0.5)
    with pytest.raises(RunError, match=r"has no answers of gpu/int8\. Finish it"):
        compare(teacher, student, candidate="gpu/int8")
    rows = read_json(teacher / "answers/rows.json")
    write_json(teacher / "answers/rows.json", rows[1:])
    with pytest.raises(RunError, match="was measured on other rows than"):
        compare(teacher, student)
    recipe = (student / "recipe.yaml").read_text("utf-8")
    (student / "recipe.yaml").write_text(f"{recipe}evaluate: [auroc]\n", "utf-8")
    write_json(teacher / "answers/rows.json", rows)
    with pytest.raises(RunError, match=r"auroc.* reads more than answers. Name another metric first"):
        compare(teacher, student)


def test_the_command_prints_the_table_and_what_it_says(graded: Graded) -> None:
    asked = [str(graded("teacher", 1.0)), str(graded("student", 0.5)), "--alone", str(graded("alone", 0.25))]
    done = CliRunner().invoke(app, ["retention", *asked])
    assert done.exit_code == 0, done.output
    assert "| student without a teacher | alone | 0.2500 |" in done.stdout
    assert "The student keeps 50.0% of the teacher's accuracy on 32 rows" in done.stdout


def test_a_mean_over_rows_is_drawn_from_what_each_row_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Squad()
    said = [["the cat", "a dog sat", "no", "blue sky"], ["cat", "dog", "yes", "sky"]]
    references = [["cat"], ["the dog"], ["yes"], ["the sky", "heavens"]]
    whole, quick = drawn(metric, said, references)
    assert whole == pytest.approx([metric.score(each, references)["squad_f1"] for each in said])
    monkeypatch.setattr(Squad, "tallies", lambda *_: None)
    _, slow = drawn(metric, said, references)
    assert len(quick) == len(slow) == bootstrap.DRAWS
    assert quick[:50] == [pytest.approx(each) for each in slow[:50]]
