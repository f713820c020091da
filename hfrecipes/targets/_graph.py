"""What all that changes an ONNX graph shares: a node replaced, a constant added, weights that nothing reads let go of."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
NORMS = {
    "LayerNormalization": (1, 2),
    "SimplifiedLayerNormalization": (1,),
    "SkipLayerNormalization": (2, 3),
    "SkipSimplifiedLayerNormalization": (2,),
}
"""Layer norms, and where among their inputs the gain and the bias are that act on what they make. What stands before the gain is
what they read: activations, or two whose sum they take."""


def replace(graph: ir.Graph, node: ir.Node, made: ir.Value) -> None:
    """Let all that read the output of `node` read `made`, under the old name."""
    old = node.outputs[0]
    name, made.shape, made.type = old.name, old.shape, old.type
    ir.convenience.replace_all_uses_with(old, made, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    made.name = name


def constant(graph: ir.Graph, name: str, array: Any) -> ir.Value:
    """The initializer `name`, which holds `array` where it is not there yet."""
    if name not in graph.initializers:
        held = ir.tensor(np.asarray(array), name=name)
        graph.register_initializer(
            ir.Value(name=name, const_value=held, shape=ir.Shape(held.shape), type=ir.TensorType(held.dtype))
        )
    return graph.initializers[name]


def drop_unused(graph: ir.Graph) -> None:
    """Let go of weights that nothing reads."""
    for name in [name for name, value in graph.initializers.items() if not value.uses() and not value.is_graph_output()]:
        del graph.initializers[name]


def plain_products(graph: ir.Graph) -> None:
    """Write products with a weight as MatMul: those that read a matrix turned round (as a head reads the embeddings that it
    shares) get a weight of their own, those that add a bias an Add."""
    for node in [node for node in graph if node.op_type in ("MatMul", "FusedMatMul", "Gemm")]:
        source, turned = _second(node)
        weight = None if source is None else source.const_value
        if source is None or weight is None or len(weight.shape) != 2 or not (turned or node.op_type == "Gemm"):
            continue
        second = constant(graph, f"{source.name}_turned", np.ascontiguousarray(weight.numpy().T)) if turned else source
        made = ir.node("MatMul", [node.inputs[0], second], name=f"{node.name}_plain")
        graph.insert_before(node, made)
        if node.op_type == "Gemm" and len(node.inputs) > 2 and node.inputs[2] is not None:
            made = ir.node("Add", [made.outputs[0], node.inputs[2]], name=f"{node.name}_bias")
            graph.insert_before(node, made)
        replace(graph, node, made.outputs[0])
    for node in [node for node in graph if node.op_type == "Transpose"]:
        if not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            graph.remove(node, safe=True)


def _second(node: ir.Node) -> tuple[ir.Value | None, bool]:
    """The second factor of a product, and whether it is turned round; None where the product does more than that."""
    second = node.inputs[1]
    if node.op_type == "MatMul":
        producer = second.producer() if second is not None else None
        turned = producer is not None and producer.op_type == "Transpose"
        return (producer.inputs[0], True) if producer is not None and turned else (second, False)
    options = {name: attribute.value for name, attribute in node.attributes.items()}
    turned = options.pop("transB", 0) == 1
    plain = all(entry == (1.0 if name in ("alpha", "beta") else 0) for name, entry in options.items())
    return (second, turned) if plain else (None, False)
