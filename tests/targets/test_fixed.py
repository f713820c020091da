"""Caches that a step only reads are given out again where they are asked for."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper

from hfrecipes.targets import FIXED
from hfrecipes.targets._fixed import ask_fixed

CACHES = {name: np.random.default_rng(i).normal(size=(3, 2, 4)).astype(np.float32) for i, name in enumerate(("read", "grown"))}


def step() -> ir.Model:
    """A model that gives out one cache as it is, and one with the sum of both."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2, 4]) for name in CACHES]
    outputs = [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, ["rows", 2, 4]) for name in CACHES]
    nodes = [helper.make_node("Identity", ["read"], ["read_out"]), helper.make_node("Add", ["read", "grown"], ["grown_out"])]
    opsets = [helper.make_opsetid("", 20)]
    return ir.from_proto(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opsets, ir_version=10))


def test_so_many_rows_as_are_asked_for_and_all_where_nobody_asks() -> None:
    proto = ir.to_proto(ask_fixed(step()))
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == list(CACHES)
    for more, rows in ({}, 3), ({FIXED: np.array([0])}, 0), ({FIXED: np.array([2])}, 2):
        read, grown = session.run(None, {**CACHES, **more})
        assert np.array_equal(read, CACHES["read"][:rows])
        assert np.array_equal(grown, CACHES["read"] + CACHES["grown"])


def test_a_step_that_changes_all_its_caches_stays_as_it_is() -> None:
    model = step()
    model.graph.outputs.pop(0)
    assert FIXED not in ask_fixed(model).graph.initializers and len(model.graph) == 2
