"""Weights alone in few bits: what becomes of products and of a head that shares its embeddings."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from hfrecipes.targets._weights import weights_only
from tests.targets.test_static import answer, apart, drawn, graph

TOKENS, UNITS = 96, 64


def tied(fused: bool) -> ir.Model:
    """Embeddings, a product, and a head that reads the embeddings turned round, in one operator or in two."""
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "tokens"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "tokens", TOKENS])
    head = (
        [helper.make_node("FusedMatMul", ["h", "e"], ["y"], domain="com.microsoft", transB=1)]
        if fused
        else [helper.make_node("Transpose", ["e"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["h", "t"], ["y"])]
    )
    nodes = [helper.make_node("Gather", ["e", "ids"], ["x"]), helper.make_node("MatMul", ["x", "w"], ["h"]), *head]
    held = [numpy_helper.from_array(array, name) for name, array in {"e": drawn(TOKENS, UNITS), "w": drawn(UNITS, UNITS)}.items()]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return ir.from_proto(helper.make_model(helper.make_graph(nodes, "g", [ids], [y], held), opset_imports=opsets, ir_version=10))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("bits", "least"), [(8, 0.02), (4, 0.2)])
def test_a_head_that_shares_its_embeddings_is_in_few_bits_too(fused: bool, bits: int, least: float) -> None:
    ids = np.arange(12).reshape(2, 6)
    model = tied(fused)
    exact = answer(model, ids)
    found = weights_only(model, bits)
    kinds = Counter(node.op_type for node in found.graph)
    assert kinds["MatMulNBits"] == 2
    assert {"MatMul", "FusedMatMul", "Transpose"}.isdisjoint(kinds)
    held = sum(value.const_value.nbytes for value in found.graph.initializers.values() if value.const_value is not None)
    whole = 4 * (TOKENS * UNITS + UNITS * UNITS)
    assert held < whole * (0.75 if bits == 8 else 0.6)
    assert apart(found, exact, ids) < least


def test_one_large_activation_spoils_its_block_alone_and_no_other_row() -> None:
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": drawn(UNITS, 16)}, UNITS)
    x = np.random.default_rng(0).normal(size=(2, 3, UNITS)).astype(np.float32)
    loud = x.copy()
    loud[1, :, 0] = 1000.0
    found = weights_only(model, 8)
    assert np.array_equal(answer(found, x)[0], answer(found, loud)[0])


@pytest.mark.parametrize("bias", [False, True])
def test_a_gemm_is_in_few_bits_as_a_product_is(bias: bool) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
        helper.make_node("Gemm", ["m", "w", "b"][: 3 if bias else 2], ["y"]),
    ]
    weights = {"axes": np.array([1], np.int64), "w": drawn(UNITS, 16)} | ({"b": drawn(16)} if bias else {})
    model = graph(nodes, weights, UNITS, rank=2)
    x = np.random.default_rng(0).normal(size=(4, 3, UNITS)).astype(np.float32)
    exact = answer(model, x)
    found = weights_only(model, 8)
    kinds = Counter(node.op_type for node in found.graph)
    assert (kinds["MatMulNBits"], kinds["Add"], kinds["Gemm"]) == (1, int(bias), 0)
    assert apart(found, exact, x) < 0.02
