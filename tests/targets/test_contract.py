"""What every target must do: its graphs answer as the checkpoint."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from hfrecipes import Predictor
from hfrecipes.folder import opened, sha256
from hfrecipes.part import find
from tests.conftest import sentiment
from tests.contracts import every

HERE = [name for name in every("targets") if find("targets", name).providers[0] in onnxruntime.get_available_providers()]  # type: ignore[attr-defined]
"""The targets that this machine can serve; the run of these tests has a bundle for each."""
TEXTS = [row["text"] for row in sentiment(24, start=200)]


def test_the_bundles_of_the_run_are_those_that_are_tested(finished: Path) -> None:
    bundles = sorted(folder.name for folder in (finished / "bundles").iterdir() if folder.is_dir())
    assert bundles == HERE


@pytest.mark.parametrize("target", HERE)
def test_every_graph_of_a_target_answers_as_its_checkpoint(target: str, finished: Path) -> None:
    graphs = opened(finished / "bundles" / target)["graphs"]
    assert len(graphs) >= 1
    base = Predictor.open(finished, "pytorch")(TEXTS)
    assert len({answer.label for answer in base}) == 2
    for name, graph in graphs.items():
        answers = Predictor.open(finished, f"{target}/{name}")(TEXTS)
        assert [answer.label for answer in answers] == [answer.label for answer in base]
        apart = max(abs(a.scores[label] - b.scores[label]) for a, b in zip(answers, base, strict=True) for label in a.scores)
        assert apart < (1e-4 if graph["precision"] == "float32" else 0.1), name


@pytest.mark.parametrize("target", HERE)
def test_a_bundle_names_its_checkpoint_and_reads_texts_by_itself(target: str, finished: Path) -> None:
    bundle = finished / "bundles" / target
    manifest = opened(bundle)
    assert manifest["checkpoint"] == sha256(finished / "model/model.safetensors")
    assert manifest["default"] in manifest["graphs"]
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "task.json"} <= set(manifest["files"])
    assert Predictor.open(bundle)("the film was good").label in ("negative", "positive")
