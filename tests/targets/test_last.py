"""Logits of the last tokens alone: the same numbers, of fewer tokens, where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hfrecipes.targets import KEEP
from hfrecipes.targets._last import keep_last

STATES = np.random.default_rng(0).normal(size=(3, 7, 16)).astype(np.float32)
PLAIN = [
    helper.make_node("LayerNormalization", ["x", "gain"], ["normed"]),
    helper.make_node("MatMul", ["normed", "words"], ["logits"]),
]
SUMMED = [
    helper.make_node("Mul", ["x", "gain"], ["above"]),
    helper.make_node("SkipSimplifiedLayerNormalization", ["x", "above", "gain"], ["normed"], domain="com.microsoft"),
    helper.make_node("Identity", ["normed"], ["read"]),
    helper.make_node("MatMul", ["read", "words"], ["logits"]),
]
SUMMED_AND_READ = [
    helper.make_node("SkipSimplifiedLayerNormalization", ["x", "x", "gain"], ["normed", "", "", "sum"], domain="com.microsoft"),
    helper.make_node("MatMul", ["normed", "words"], ["scores"]),
    helper.make_node("MatMul", ["sum", "words"], ["more"]),
    helper.make_node("Add", ["scores", "more"], ["logits"]),
]
NO_NORM = [helper.make_node("MatMul", ["x", "words"], ["logits"])]


def made(nodes: Sequence[NodeProto]) -> ir.Model:
    """A model that makes logits of 5 words of states."""
    drawn = np.random.default_rng(1)
    held = {"gain": drawn.normal(size=16).astype(np.float32), "words": drawn.normal(size=(16, 5)).astype(np.float32)}
    x, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", tokens, units])
        for name, tokens, units in (("x", "tokens", 16), ("logits", "kept", 5))
    )
    graph = helper.make_graph(nodes, "g", [x], [logits], [numpy_helper.from_array(array, name) for name, array in held.items()])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=10))


def answered(model: ir.Model, **more: np.ndarray) -> np.ndarray:
    """What a session says of the states."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["x"]
    found: np.ndarray = session.run(None, {"x": STATES, **more})[0]
    return found


@pytest.mark.parametrize("nodes", [PLAIN, SUMMED])
def test_so_many_of_the_last_tokens_have_logits_and_all_where_nothing_is_asked(nodes: list[NodeProto]) -> None:
    whole, changed = answered(made(nodes)), keep_last(made(nodes))
    assert np.array_equal(answered(changed), whole)
    for count in (0, 1, 3, 7, 9):
        assert np.allclose(answered(changed, **{KEEP: np.array([count])}), whole[:, -count:], atol=1e-6)


@pytest.mark.parametrize("nodes", [SUMMED_AND_READ, NO_NORM])
def test_where_more_than_the_logits_is_made_of_the_norm_or_there_is_none_nothing_changes(nodes: list[NodeProto]) -> None:
    changed = keep_last(made(nodes))
    assert KEEP not in changed.graph.initializers and len(changed.graph) == len(nodes)
    assert np.array_equal(answered(changed), answered(made(nodes)))
