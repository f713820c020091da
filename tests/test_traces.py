"""Traces: no ONNX file of a bundle names a place of this machine, or says more than it needs to run."""

from __future__ import annotations

import gc
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from hfrecipes.targets._onnx import hurried
from hfrecipes.traces import forget_traces


def test_no_graph_of_a_bundle_names_a_place_of_this_machine(finished: Path) -> None:
    files = list((finished / "bundles").rglob("*.onnx"))
    assert len(files) >= 2
    here = str(Path(__file__).parents[1]).encode()
    assert [file for file in files if here in file.read_bytes() or b"site-packages" in file.read_bytes()] == []


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    """A file with a branch in it, whose every part says where it came from."""
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    kept = helper.make_tensor_value_info("k", TensorProto.FLOAT, [1])
    constant = helper.make_node("Constant", [], ["k"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0]))
    branch = helper.make_graph([constant], "branch", [], [kept])
    choice = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    model = helper.make_model(helper.make_graph([choice], "main", [flag], [out]), ir_version=10)
    parts = [model, model.graph, choice, model.graph.node[0], model.graph.node[0].attribute[0].g, model.graph.input[0]]
    inner = model.graph.node[0].attribute[1].g.node[0]
    for part in [*parts, inner]:
        part.doc_string = "/home/me/model.py"
        part.metadata_props.add(key="stack_trace", value="/home/me/model.py")
    onnx.save(model, str(tmp_path / "model.onnx"))
    return tmp_path / "model.onnx"


def test_traces_go_out_of_branches_too_and_the_graph_still_runs(traced: Path) -> None:
    import numpy as np
    import onnxruntime

    assert b"/home/me" in traced.read_bytes()
    forget_traces(traced.parent)
    assert b"/home/me" not in traced.read_bytes()
    onnx.checker.check_model(str(traced))
    session = onnxruntime.InferenceSession(str(traced), providers=["CPUExecutionProvider"])
    assert session.run(None, {"flag": np.array(True)})[0].tolist() == [2.0]


def test_what_makes_tracing_quick_ends_with_it() -> None:
    import torch.fx

    def settings() -> tuple[object, ...]:
        return gc.get_threshold(), getattr(torch.fx.config, "do_not_emit_stack_traces", True)  # no such word in older PyTorch

    before = settings()
    with pytest.raises(ZeroDivisionError), hurried():
        assert settings() == ((100_000, 50, 100), True)
        raise ZeroDivisionError
    assert settings() == before
