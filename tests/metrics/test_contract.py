"""What every metric must do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contracts import every, make

SCRIPT = '''"""The share of equal answers."""

import datasets
import evaluate


class Share(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
        return evaluate.MetricInfo(description="share", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
        return {"share": sum(a == b for a, b in zip(predictions, references)) / len(references)}
'''
LABELS = (["a", "b", "c", "a", "b"], ["a", "b", "a", "a", "c"])
NUMBERS = ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 4.0, 3.0, 5.0])
SCORES = ([{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}, {"a": 0.4, "b": 0.6}], [{"a": 0.9, "b": 0.1}] * 3)
TEXTS = (["a short text of six words", "and one more text here"], ["a short text of words", "and more text here"])
EXAMPLES: dict[str, tuple[list[Any], list[Any]]] = {
    "bleu": TEXTS,
    "chrf": TEXTS,
    "entity_f1": ([["B-A", "I-A", "O"], ["O", "B-B"]], [["B-A", "O", "O"], ["O", "B-B"]]),
    "pearson": NUMBERS,
    "spearman": NUMBERS,
}
"""True answers and partly wrong ones, of the metrics that are not about labels."""
READ: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    "auroc": (["a", "b", "b"], *SCORES),
    "perplexity": (["x", "y"], [[1.0, 3], [2.0, 2]], [[2.0, 3], [2.0, 2]]),
}
"""True answers, right predictions and wrong ones, where a prediction has another form than the true answer."""
MOST = {"bleu": 100.0, "chrf": 100.0}


def example(metric: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """True answers, predictions that are right, and some that are wrong."""
    true, wrong = EXAMPLES.get(metric.name, LABELS)
    return READ.get(metric.name, (true, true, wrong))


@pytest.fixture
def metric(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The metric of a name; `module` gets a script of its own."""
    script = tmp_path / "share" / "share.py"
    script.parent.mkdir()
    script.write_text(SCRIPT, "utf-8")
    return make("metrics", request.param, {"module": {"path": str(script), "result": "share"}})


@pytest.mark.parametrize("metric", every("metrics"), indirect=True)
def test_a_metric_is_one_when_all_is_right_and_worse_when_something_is_wrong(metric: Any) -> None:
    true, right, wrong = example(metric)
    perfect, worse = (metric.score(said, true)[metric.figure] for said in (right, wrong))
    if metric.lower_is_better:
        assert perfect < worse
    else:
        assert worse < perfect == pytest.approx(MOST.get(metric.name, 1.0))


@pytest.mark.parametrize("metric", every("metrics"), indirect=True)
def test_a_metric_as_evaluate_gives_the_same_figures(metric: Any) -> None:
    true, _, wrong = example(metric)
    assert metric.as_evaluate().compute(predictions=wrong, references=true) == pytest.approx(metric.score(wrong, true))
