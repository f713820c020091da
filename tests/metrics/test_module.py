"""module: a metric of the evaluate library."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfrecipes.metrics import Metric, scores
from hfrecipes.metrics.accuracy import Accuracy
from hfrecipes.metrics.module import Module
from tests.metrics.test_contract import SCRIPT


def test_options_reach_the_script_and_the_named_figure_is_taken(tmp_path: Path) -> None:
    source = SCRIPT.replace("predictions, references):", "predictions, references, scale=1):").replace(
        '"share": sum', '"other": 0.0, "share": scale * sum'
    )
    (tmp_path / "scaled.py").write_text(source, "utf-8")
    metric = Module(path=str(tmp_path / "scaled.py"), result="share", options={"scale": 10})
    assert metric.score(["a", "b"], ["a", "c"]) == {"share": 5.0}


def test_the_figures_of_several_metrics_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "share.py").write_text(SCRIPT, "utf-8")
    metrics: list[Metric] = [Module(path=str(tmp_path / "share.py"), result="share"), Accuracy()]
    found = scores(metrics, {"label": ["a", "b"]}, ["a", "c"])
    assert list(found.items()) == [("share", 0.5), ("accuracy", 0.5)]
    assert [metric.figure for metric in metrics] == list(found)


def test_a_module_without_the_name_of_its_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="result"):
        Metric.choose({"module": {"path": "somewhere"}})
