"""openvino: what it says where the package is missing; its int8, where it is there."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from hfrecipes import Predictor
from hfrecipes.checkpoint import copy_reader, load_trained
from hfrecipes.errors import DependencyError, RecipeError
from hfrecipes.folder import Run
from hfrecipes.inference.engines import engine_of
from hfrecipes.stages.export import batches
from hfrecipes.targets.openvino import Openvino
from tests.conftest import sentiment

TEXTS = [row["text"] for row in sentiment(24, start=200)]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither OpenVINO nor NNCF can be found."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in ("openvino", "nncf") else found(name, *more)
    )


@pytest.mark.usefixtures("without")
def test_where_the_package_is_missing_the_command_that_installs_it_is_said(finished: Path, tmp_path: Path) -> None:
    assert Openvino().lacking() == "the package openvino (pip install 'hfrecipes[openvino]')"
    with pytest.raises(DependencyError, match=r"needs openvino\. Run: pip install 'hfrecipes\[openvino\]'"):
        engine_of(finished / "bundles/cpu/onnx/model.onnx", Openvino.providers, threads=1)
    with pytest.raises(
        DependencyError, match=r"export\.openvino\.quantize: needs nncf\. Run: pip install 'hfrecipes\[openvino\]'"
    ):
        Openvino(quantize="nncf").export(load_trained(finished / "model").eval(), batches(Run.open(finished)), tmp_path)


def test_a_model_that_writes_is_refused(tiny_gpt: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    with pytest.raises(RecipeError, match=r"export\.openvino: a model that writes has no bundle for OpenVINO\. Write cpu"):
        Openvino().export(AutoModelForCausalLM.from_pretrained(tiny_gpt), [], tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_its_int8_answers_as_the_checkpoint_whatever_it_comes_with(finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs openvino and nncf: pip install 'hfrecipes[openvino]'")
    pytest.importorskip("nncf", reason="needs openvino and nncf: pip install 'hfrecipes[openvino]'")
    graphs = Openvino(quantize="nncf").export(load_trained(finished / "model").eval(), batches(Run.open(finished)), tmp_path)
    copy_reader(finished / "model", tmp_path)
    served = Predictor.over(tmp_path, dataclasses.asdict(graphs["int8"]), Openvino.providers, threads=1)
    exact = Predictor.open(finished, "pytorch")(TEXTS)
    together = served(TEXTS)
    assert [answer.label for answer in together] == [answer.label for answer in exact]
    assert max(abs(a.score - b.score) for a, b in zip(together, exact, strict=True)) < 0.1
    alone = np.array([served(text).score for text in TEXTS])
    assert np.abs(alone - [answer.score for answer in together]).max() < 1e-5
    before = [answer.scores for answer in together]
    served(TEXTS[:3])
    assert [answer.scores for answer in together] == before
