"""Report: what a run claims."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hfrecipes.errors import RunError
from hfrecipes.folder import opened, read_json
from hfrecipes.report import Report, comparison, markdown_table


def test_a_report_holds_what_was_measured(finished: Path) -> None:
    report = Report.load(finished)
    measured = read_json(finished / "measured/cpu-int8.json")["facts"]
    int8 = next(candidate for candidate in report.frontier if candidate.name == "cpu/int8")
    assert dataclasses.asdict(int8) == {
        "name": "cpu/int8",
        **{key: measured[key] for key in dataclasses.asdict(int8) if key != "name"},
    }
    assert int8.mb == (finished / "bundles/cpu/onnx/model_static.onnx").stat().st_size / 1e6


def test_the_scores_are_those_of_what_is_served(finished: Path) -> None:
    report = Report.load(finished)
    assert report.values["served"] == f"cpu/{opened(finished / 'bundles/cpu')['default']}"
    assert report.scores == {candidate.name: candidate.scores for candidate in report.frontier}["cpu/int8"]
    assert dataclasses.replace(report, values={**report.values, "served": None}).scores == report.frontier[0].scores


def test_a_report_passed_only_when_checks_were_judged_and_all_passed(finished: Path) -> None:
    report = Report.load(finished)
    verdict = report.values["checks"][0]
    assert report.passed
    assert not dataclasses.replace(report, values={**report.values, "checks": []}).passed
    assert not dataclasses.replace(report, values={**report.values, "checks": [verdict, {**verdict, "passed": False}]}).passed


def test_the_table_has_a_row_a_candidate_and_the_markdown_shows_it(finished: Path) -> None:
    report = Report.load(finished)
    header, rows = report.rows()
    assert header == ["candidate", "accuracy", "f1_macro", "MB", "p50 ms", "p95 ms", "sentences/s"]
    assert [row[0] for row in rows] == ["pytorch", "cpu/fp32", "cpu/int8"]
    assert {len(row) for row in rows} == {len(header)}
    text = (finished / "report.md").read_text("utf-8")
    assert markdown_table(header, rows) in text
    assert all(
        (finished / plot).is_file() and f"![{plot}]({plot})" in text for plot in ("loss.png", "confusion.png", "frontier.png")
    )


def test_a_report_says_where_its_rows_come_from(finished: Path) -> None:
    values = Report.load(finished).values
    assert values["data"]["rows"] == {"train": 87, "validation": 9}
    assert (values["split"], values["test_rows"]) == ("test", 32)
    assert set(values["seconds"]) == {"prepare", "train", "calibrate", "evaluate", "export", "measure", "check"}


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no report\.json\. Run `hfrecipes fit`"):
        Report.load(tmp_path)


def test_a_table_in_markdown() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_comparison_names_the_data_below_its_variable_and_gives_the_cost(finished: Path, tmp_path: Path) -> None:
    report = Report.load(finished)
    named = {**report.values["recipe"], "data": {"path": "$DATA/ner/ai"}}
    other = Report(tmp_path / "other" / "report.json", {**report.values, "recipe": named, "before": {"accuracy": 0.5}})
    header, rows = comparison([report, other])
    assert header[:4] == ["run", "data", "model", "figure"]
    assert (rows[0][0], rows[1][0]) == ("tiny", "other")
    assert (rows[0][1], rows[1][1]) == (Path(report.values["recipe"]["data"]["path"]).name, "ner/ai")
    at = dict(zip(header, rows[1], strict=True))
    assert (at["figure"], at["before"], at["baseline"]) == ("accuracy", "0.5000", "-")
    assert float(at["after"]) == pytest.approx(report.frontier[0].scores["accuracy"], abs=1e-4)
    assert at["MB"] == f"{report.frontier[-1].mb:.1f}" and report.frontier[-1].mb > 0
