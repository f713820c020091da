"""Int8 with a range for each token: what becomes of products behind layer norms, behind anything else, and of whole models."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from hfrecipes.targets._per_token import of_encoder, per_token, scales, smoothing, watch
from hfrecipes.targets._weights import weights_only
from tests.targets.test_static import answer, apart, graph

UNITS = 64
LOUD = np.where(np.arange(UNITS) == 7, 40.0, 1.0).astype(np.float32)
"""Gains of which one is forty times the others."""


def drawn(*shape: int, seed: int = 5) -> np.ndarray:
    """A weight."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def normed(bias: bool, also: bool = False) -> ir.Model:
    """A layer norm that two products read, and, where asked, a sum, too."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gain", "shift"][: 3 if bias else 2], ["n"]),
        helper.make_node("MatMul", ["n", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["left"]),
        helper.make_node("MatMul", ["n", "v"], ["right"]),
        helper.make_node("Mul", ["left", "right"], ["z"]),
        helper.make_node("Add", ["z", "n"], ["y"]) if also else helper.make_node("Identity", ["z"], ["y"]),
    ]
    weights = {
        "gain": LOUD,
        "w": drawn(UNITS, UNITS) / LOUD[:, None],
        "b": drawn(UNITS),
        "v": drawn(UNITS, UNITS, seed=6) / LOUD[:, None],
    }
    return graph(nodes, weights | ({"shift": drawn(UNITS)} if bias else {}), UNITS)


def tokens(rows: int = 2) -> np.ndarray:
    """Activations of the shape (rows, 5, units)."""
    return np.random.default_rng(1).normal(size=(rows, 5, UNITS)).astype(np.float32)


def made(x: np.ndarray, shift: np.ndarray | float = 0.0) -> np.ndarray:
    """What a layer norm with the gains `LOUD` makes, shape (tokens, units)."""
    even = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    return (even * LOUD + shift).reshape(-1, UNITS)


@pytest.mark.parametrize("bias", [False, True])
def test_behind_a_layer_norm_units_are_scaled_against_each_other_at_no_operator(bias: bool) -> None:
    x, model = tokens(), normed(bias)
    exact, plain = answer(model, x), per_token(normed(bias), {})
    shift = model.graph.initializers["shift"].const_value.numpy() if bias else 0.0
    found = per_token(model, scales(model, {"gain": made(x, shift)}))
    kinds = Counter(node.op_type for node in found.graph)
    assert kinds == Counter(node.op_type for node in plain.graph)
    assert (kinds["MatMulIntegerToFloat"], kinds["QuantizeLinear"], kinds["MatMul"]) == (2, 1, 0)
    assert apart(found, exact, x) < 0.03


def test_without_scales_one_loud_unit_leaves_the_others_few_steps() -> None:
    x, model = tokens(), normed(bias=False)
    exact = answer(model, x)
    smooth = scales(model, {"gain": made(x)})
    assert list(smooth) == ["gain"] and smooth["gain"].argmax() == 7
    whole = ir.serde.deserialize_model(ir.to_proto(model))
    assert apart(per_token(model, smooth), exact, x) < 0.5 * apart(per_token(whole, {}), exact, x)


def test_scales_are_ones_where_nothing_does_better() -> None:
    model = graph([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.eye(4, dtype=np.float32)}, 4)
    assert smoothing(np.ones((3, 4), np.float32), list(model.graph)).tolist() == [1, 1, 1, 1]


def test_a_layer_norm_that_something_else_reads_stays_as_it_is() -> None:
    x, model = tokens(), normed(bias=False, also=True)
    assert scales(model, {"gain": made(x)}) == {}
    exact = answer(model, x)
    found = per_token(model, {})
    assert np.array_equal(found.graph.initializers["gain"].const_value.numpy(), LOUD)
    assert apart(found, exact, x) < 0.1


def test_no_answer_depends_on_its_batch_and_a_token_of_zeros_gets_the_bias() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    bias = drawn(UNITS)
    found = per_token(graph(nodes, {"w": drawn(UNITS, UNITS), "b": bias}, UNITS), {})
    x = tokens()
    x[1, 2], x[1, 3] = 1e4 * x[1, 2], 0
    together = answer(found, x)
    assert np.array_equal(together[0], answer(found, x[:1])[0])
    assert np.array_equal(together[1, 1:2], answer(found, x[1:, 1:2])[0])
    assert np.array_equal(together[1, 3], bias)


def test_an_outer_layer_is_left_for_weights_in_blocks() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "up"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "down"], ["y"]),
    ]
    model = graph(nodes, {"up": drawn(UNITS, 4 * UNITS), "down": drawn(4 * UNITS, UNITS)}, UNITS)
    exact = answer(model, tokens())
    found = weights_only(per_token(model, {}), bits=8)
    kinds = Counter(node.op_type for node in found.graph)
    assert (kinds["MatMulIntegerToFloat"], kinds["MatMulNBits"], kinds["MatMul"]) == (1, 1, 0)
    assert apart(found, exact, tokens()) < 0.03


def batch(rows: int, length: int) -> dict[str, np.ndarray]:
    """Rows of ids, of which the first is padded."""
    ids = np.arange(4, 4 + rows * length).reshape(rows, length) % 20 + 4
    mask = np.ones_like(ids)
    mask[0, -2:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def test_what_norms_make_is_seen_without_padding_and_nothing_stays_behind(tiny_gpt: Path) -> None:
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(tiny_gpt).eval()
    found = watch(model, [batch(3, 6)])
    assert set(found) == {f"transformer.{name}.weight" for name in ("h.0.ln_1", "h.0.ln_2", "h.1.ln_1", "h.1.ln_2", "ln_f")}
    assert {tokens.shape for tokens in found.values()} == {(4 + 6 + 6, 32)}
    assert not any(module._forward_hooks for module in model.modules())


def test_an_encoder_has_its_own_names_and_a_decoder_is_seen_while_it_writes(tiny_t5: Path) -> None:
    from transformers import T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(tiny_t5).eval()
    found = watch(model, [batch(2, 6)])
    assert len(found["decoder.final_layer_norm.weight"]) > len(found["encoder.final_layer_norm.weight"]) == 4 + 6
    inside = of_encoder(model, found)
    assert "block.0.layer.0.layer_norm.weight" in inside and not any("decoder" in name for name in inside)
