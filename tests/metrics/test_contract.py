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
EXAMPLES: dict[str, tuple[list[Any], list[Any]]] = {"pearson": NUMBERS}
"""True answers and partly wrong ones, of the metrics that are not about labels."""


@pytest.fixture
def metric(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The metric of a name; `module` gets a script of its own."""
    script = tmp_path / "share" / "share.py"
    script.parent.mkdir()
    script.write_text(SCRIPT, "utf-8")
    return make("metrics", request.param, {"module": {"path": str(script), "result": "share"}})


@pytest.mark.parametrize("metric", every("metrics"), indirect=True)
def test_a_metric_is_one_when_all_is_right_and_worse_when_something_is_wrong(metric: Any) -> None:
    true, wrong = EXAMPLES.get(metric.name, LABELS)
    perfect, worse = (metric.score(said, true)[metric.figure] for said in (true, wrong))
    if metric.lower_is_better:
        assert perfect < worse
    else:
        assert worse < perfect == pytest.approx(1.0)


@pytest.mark.parametrize("metric", every("metrics"), indirect=True)
def test_a_metric_as_evaluate_gives_the_same_figures(metric: Any) -> None:
    true, wrong = EXAMPLES.get(metric.name, LABELS)
    assert metric.as_evaluate().compute(predictions=wrong, references=true) == pytest.approx(metric.score(wrong, true))
