"""What metrics read: every form goes through `evaluate`, and no library is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from hfrecipes.metrics import Metric
from hfrecipes.part import names

HEAVY = "datasets evaluate nltk numpy rouge_score sacrebleu scipy seqeval sklearn torch transformers"
FORMS: list[tuple[str, list[Any], list[Any]]] = [
    ("mcc", ["a", "b", "b"], ["a", "b", "a"]),
    ("auroc", [{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}, {"a": 0.5, "b": 0.5}], ["a", "b", "b"]),
    ("auroc", [{"0": 0.9, "1": 0.1}, {"0": 0.2, "1": 0.8}, {"0": 0.1, "1": 0.9}], ["0", "1", "0"]),
    ("spearman", [0.5, 1.0, 1.5], [2.0, 1.0, 3.0]),
    ("exact_match", ["1", "2"], ["1", "3"]),
    ("exact_match", ["1", "2"], [["3", "1"], ["3"]]),
    ("entity_f1", [["B-A", "O"], []], [["B-A", "B-B"], []]),
    ("squad", ["", "x"], [[], ["x y", "z"]]),
    ("perplexity", [[3.5, 2], [1.0, 4]], ["a text", "7"]),
    ("rouge", ["a b", "c"], [["a c", "b"], ["c"]]),
    ("bleu", ["a b c d", "e"], ["a b c d", "f"]),
    ("chrf", ["a b c d", "e"], [["a b c d", "f"], ["e"]]),
]


@pytest.mark.parametrize(("name", "predictions", "references"), FORMS)
def test_what_a_metric_reads_goes_through_evaluate(name: str, predictions: list[Any], references: list[Any]) -> None:
    metric = Metric.choose(name)
    expected = metric.score(predictions, references)
    assert next(iter(expected)) == metric.figure
    assert all(type(figure) is float for figure in expected.values())
    assert metric.as_evaluate().compute(predictions=predictions, references=references) == expected


def test_every_metric_is_imported_without_the_library_that_counts() -> None:
    code = (
        "import sys; from hfrecipes.part import find, names, summary; "
        "print(*(find('metrics', name).__name__ for name in names('metrics'))); "
        f"print(*sorted(set({HEAVY.split()}) & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert [len(found[0].split()), found[1]] == [len(names("metrics")), ""]
