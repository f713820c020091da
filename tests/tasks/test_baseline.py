"""What needs no model, which a trained one has to beat."""

from __future__ import annotations

from pathlib import Path

from hfrecipes import Report
from hfrecipes.report import comparison
from hfrecipes.tasks.summarization import Summarization
from hfrecipes.tasks.text_classification import TextClassification
from tests.tasks.test_contract import rows_of


def test_a_classifier_has_to_beat_the_commonest_label() -> None:
    config = {"problem_type": "single_label_classification", "id2label": {0: "a", 1: "b"}, "data_labels": []}
    assert TextClassification().baseline([{"label": x} for x in "abb"], config) == ["b"] * 3
    assert TextClassification().baseline([{"label": 0.5}], {"problem_type": "regression"}) is None


def test_a_summary_has_to_beat_the_first_sentence() -> None:
    rows = [{"source": " We fly, e.g. high. It works! So"}, {"source": "One"}, {"source": ""}]
    assert Summarization().baseline(rows, {}) == ["We fly, e.g. high.", "One", ""]


def test_the_table_of_runs_shows_it_beside_what_was_reached(tiny_t5: Path, tmp_path: Path) -> None:
    from hfrecipes import verbs
    from hfrecipes.config import build
    from hfrecipes.recipe import Recipe
    from tests.conftest import write_lines

    for split, start in {"train": 0, "test": 16}.items():
        write_lines(tmp_path / f"data/{split}.jsonl", rows_of("summarization", 16, start))
    values = {
        "recipe": "t5",
        "task": {"summarization": {"max_length": 48, "max_target_length": 4}},
        "data": {"path": str(tmp_path / "data")},
        "model": str(tiny_t5),
        "train": {"max_steps": 1, "bf16": False},
        "before": True,
    }
    found = verbs.fit(build(Recipe, values), tmp_path / "run")
    report = Report.load(found.path)
    header, [row] = comparison([report])
    assert row[header.index("baseline")] == f"{report.values['baseline']['rougeL']:.4f}"
    assert 0 < report.values["baseline"]["rougeL"] < 1  # one word of the first sentence is the target
    assert row[header.index("before")] == f"{report.values['before']['rougeL']:.4f}"
