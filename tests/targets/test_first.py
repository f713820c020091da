"""Of its last layer a model computes what its head reads; attention is one operator: graphs that answer as they did."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    PreTrainedConfig,
)

from hfrecipes.targets import _static
from hfrecipes.targets._attention import join_attention
from hfrecipes.targets._first import only_first_token
from hfrecipes.targets._onnx import export_graph
from hfrecipes.targets._static import static
from tests.targets.test_static import answers

TINY = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
SPECIAL = {"cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS: dict[str, tuple[PreTrainedConfig, int]] = {
    "bert": (BertConfig(**{**TINY, "num_hidden_layers": 2}), 2),
    "albert": (AlbertConfig(**{**TINY, "num_hidden_layers": 2}, embedding_size=8), 2),
    "distilbert": (DistilBertConfig(vocab_size=64, dim=16, n_layers=1, n_heads=2, hidden_dim=24, max_position_embeddings=64), 1),
    "deberta-v2": (DebertaV2Config(**TINY), 0),
    "modernbert": (ModernBertConfig(**TINY, **SPECIAL), 0),
}
"""Architectures, and how many of their attentions have a form that is joined."""
DRAWN = np.random.default_rng(0)


def drawn(config: PreTrainedConfig, kind: Any = AutoModelForSequenceClassification, labels: int = 3) -> Any:
    """A model with weights that tell tokens apart."""
    torch.manual_seed(0)
    config.num_labels = labels
    model = kind.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.3 * torch.randn_like(weight))
    return model


def batch(rows: int, tokens: int) -> dict[str, np.ndarray]:
    """Rows of several lengths, padded."""
    ids, mask = DRAWN.integers(5, 64, (rows, tokens)), np.ones((rows, tokens), np.int64)
    for row in range(rows):
        mask[row, DRAWN.integers(tokens // 2, tokens + 1) :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def apart(graph: ir.Model, model: Any) -> float:
    """The largest difference of a graph's answers to its model's, over batches of several shapes, as a share of the largest."""
    worst = 0.0
    for rows, tokens in ((3, 9), (5, 17), (1, 4)):
        given = batch(rows, tokens)
        with torch.inference_mode():
            exact = model(**{name: torch.from_numpy(array) for name, array in given.items()}).logits.numpy()
        worst = max(worst, float(np.abs(answers(graph, given) - exact).max() / np.abs(exact).max()))
    return worst


def operators(graph: ir.Model) -> Counter[str]:
    """How many of each operator there are."""
    return Counter(node.op_type for node in graph.graph)


@pytest.mark.parametrize("name", CONFIGS)
def test_behind_its_last_attention_a_classifier_computes_the_first_token_alone(name: str) -> None:
    config, joined = CONFIGS[name]
    model = drawn(config)
    graph = export_graph(model, batch(3, 9), None).program
    widths = [node.outputs[0].shape for node in graph.graph if node.op_type in ("Gelu", "Tanh")]
    assert [1 in shape for shape in widths if len(shape) == 3][-1]
    assert apart(graph, model) < 1e-5
    assert operators(join_attention(graph))["MultiHeadAttention"] == joined
    assert apart(graph, model) < 1e-5


@pytest.mark.parametrize(
    ("config", "kind"),
    [(CONFIGS["bert"][0], AutoModelForTokenClassification), (GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2,
     n_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2), AutoModelForSequenceClassification)],
)  # fmt: skip
def test_a_model_that_reads_other_tokens_computes_them_all(config: PreTrainedConfig, kind: Any) -> None:
    model = drawn(config, kind)
    graph = export_graph(model, batch(3, 9), None).program
    before = operators(graph)
    assert operators(only_first_token(graph)) == before
    assert apart(join_attention(graph), model) < 1e-5


def layers(*, all_read: bool) -> ir.Model:
    """x · w, then tanh, and of that the first token; `all_read` gives all of the products, too."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Tanh", ["product"], ["bent"]),
        helper.make_node("Gather", ["bent", "zero"], ["y"], axis=1),
    ]
    sizes = ["rows", "tokens", 4]
    outputs = [("y", ["rows", 4]), *([("product", sizes)] if all_read else [])]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [
            numpy_helper.from_array(DRAWN.normal(size=(4, 4)).astype(np.float32), "w"),
            numpy_helper.from_array(np.array(0, np.int64), "zero"),
        ],
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in ("product", "bent")],
    )
    return ir.from_proto(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


@pytest.mark.parametrize(("all_read", "cut"), [(False, "x"), (True, "product")])
def test_what_something_else_reads_is_cut_behind_it(all_read: bool, cut: str) -> None:
    x = {"x": DRAWN.normal(size=(2, 5, 4)).astype(np.float32)}
    graph = layers(all_read=all_read)
    exact = answers(graph, x)
    only_first_token(graph)
    slices = [node for node in graph.graph if node.op_type == "Slice"]
    assert [node.inputs[0].name for node in slices] == [cut]
    np.testing.assert_allclose(answers(graph, x), exact, rtol=1e-6)


def test_what_attention_makes_is_scaled_in_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    model = drawn(CONFIGS["distilbert"][0])
    rows, given = [batch(8, 9) for _ in range(4)], batch(3, 9)
    graph = static(export_graph(model, rows[0], None).program, rows)
    assert len([name for name in graph.graph.initializers if "_scaled_" in name]) == 2, "the steps and the bias of the values"
    made = [node.outputs[0] for node in graph.graph if node.op_type == "MultiHeadAttention"]
    assert [use.node.op_type for value in made for use in value.uses()] == ["QuantizeLinear"]
    monkeypatch.setattr(_static, "_scale_values", lambda *_: False)
    plain = static(export_graph(model, rows[0], None).program, rows)
    assert operators(plain)["Mul"] == operators(graph)["Mul"] + 1
    np.testing.assert_allclose(answers(graph, given), answers(plain, given), atol=1e-6)
