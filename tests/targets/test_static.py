"""Static int8: one graph after another from a few operators, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hfrecipes.targets._static import calibrate, static

DRAWN = np.random.default_rng(0)


def graph(nodes: Sequence[onnx.NodeProto], weights: Mapping[str, np.ndarray], width: int, rank: int = 3) -> ir.Model:
    """A model of `x` (rows, tokens, width) that gives `y` with `rank` dimensions."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "tokens", width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "tokens", "units"][-rank:])
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    made = helper.make_graph(nodes, "g", [x], [y], held)
    return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def answers(model: ir.Model, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a graph gives first for a batch, of which it takes what it knows, checked before."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {entry.name: batch[entry.name] for entry in session.get_inputs()})[0]
    return found


def answer(model: ir.Model, x: np.ndarray) -> np.ndarray:
    """What a graph of one input gives for `x`."""
    return answers(model, {model.graph.inputs[0].name or "": x})


def batches(width: int, count: int = 4) -> list[dict[str, np.ndarray]]:
    """Batches of drawn activations, nothing masked."""
    return [
        {
            "x": DRAWN.normal(size=(8, 6, width)).astype(np.float32),
            "attention_mask": np.ones((8, 6), np.int64),
        }
        for _ in range(count)
    ]


def apart(model: ir.Model, exact: np.ndarray, x: np.ndarray) -> float:
    """The error of a graph as a share of what it should give."""
    return float(np.linalg.norm(answer(model, x) - exact) / np.linalg.norm(exact))


def drawn(*shape: int) -> np.ndarray:
    """A weight."""
    return DRAWN.normal(size=shape).astype(np.float32)


def test_products_with_weights_are_int8_with_their_bias_and_what_they_share_is_quantized_once() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["left"]),
        helper.make_node("MatMul", ["x", "v"], ["right"]),
        helper.make_node("Mul", ["left", "right"], ["y"]),
    ]
    model = graph(nodes, {"w": drawn(16, 8), "b": drawn(8), "v": drawn(16, 8)}, 16)
    rows = batches(16)
    exact = answer(model, rows[0]["x"])
    found = static(model, rows)
    kinds = Counter(node.op_type for node in found.graph)
    assert kinds["MatMulIntegerToFloat"] == 2 and kinds["QuantizeLinear"] == 1
    assert "MatMul" not in kinds and "Add" not in kinds
    assert {"w", "v"}.isdisjoint(found.graph.initializers)
    assert apart(found, exact, rows[0]["x"]) < 0.03


def test_an_answer_does_not_depend_on_what_else_is_in_the_batch() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    rows = batches(16)
    found = static(graph(nodes, {"w": drawn(16, 8)}, 16), rows)
    alone = answer(found, rows[0]["x"][:1])
    loud = np.concatenate([rows[0]["x"][:1], 100 * rows[0]["x"][1:2]])
    assert np.array_equal(answer(found, loud)[:1], alone)


def test_a_gemm_is_read_with_its_weight_either_way_and_one_with_factors_is_left() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
        helper.make_node("Gemm", ["m", "w", "b"], ["h"], transB=1),
        helper.make_node("Gemm", ["h", "v"], ["k"]),
        helper.make_node("Gemm", ["k", "v2", "b2"], ["y"], alpha=0.5),
    ]
    weights = {
        "axes": np.array([1], np.int64),
        "w": drawn(12, 16),
        "b": drawn(12),
        "v": drawn(12, 4),
        "v2": drawn(4, 4),
        "b2": drawn(4),
    }
    model = graph(nodes, weights, 16, rank=2)
    rows = batches(16)
    exact = answer(model, rows[0]["x"])
    found = static(model, rows)
    kinds = Counter(node.op_type for node in found.graph)
    assert (kinds["MatMulIntegerToFloat"], kinds["Gemm"]) == (2, 1)
    assert apart(found, exact, rows[0]["x"]) < 0.05


@pytest.mark.parametrize("loud", [1.0, 60.0])
def test_channels_are_scaled_against_each_other_only_where_that_pays(loud: float) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    scales = np.ones(16, np.float32)
    scales[3] = loud
    weight = drawn(16, 8) / scales[:, None]
    rows = [{**batch, "x": batch["x"] * scales} for batch in batches(16)]
    model = graph(nodes, {"w": weight.astype(np.float32)}, 16)
    exact = answer(model, rows[0]["x"])
    found = static(model, rows)
    assert ("Mul" in {node.op_type for node in found.graph}) == (loud > 1)
    assert apart(found, exact, rows[0]["x"]) < 0.03


def test_embeddings_are_int8_by_row_and_stay_where_another_operator_reads_them() -> None:
    table = drawn(30, 16) * DRAWN.uniform(0.01, 10, size=(30, 1)).astype(np.float32)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "tokens"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "tokens", 16])
    nodes = [helper.make_node("Gather", ["e", "ids"], ["y"])]
    held = [numpy_helper.from_array(table, "e")]
    made = helper.make_graph(nodes, "g", [ids], [y], held)
    model = ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    asked = np.array([[1, 2, 29]])
    found = static(model, [{"ids": asked, "attention_mask": np.ones_like(asked)}])
    assert "e" not in found.graph.initializers
    error = np.abs(answer(found, asked) - table[asked]).max(axis=-1) / np.abs(table[asked]).max(axis=-1)
    assert error.max() < 0.005


def test_padding_has_no_say_in_the_ranges() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    rows = batches(16, count=1)
    rows[0]["x"][:, 5] = 1000.0
    rows[0]["attention_mask"][:, 5] = 0
    seen = calibrate(graph(nodes, {"w": drawn(16, 8)}, 16), ["x"], rows)["x"]
    assert np.max(seen.high) < 10
    assert sum(map(len, seen.rows)) == 40
