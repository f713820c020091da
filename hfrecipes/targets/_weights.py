"""Weights alone in 8 or 4 bits, for models that write: a token of a decoder costs what reading its weights costs.

Products become ONNX Runtime's `MatMulNBits`: weights in blocks of 32 with a scale each, and activations that are quantized in the
same blocks as they come, so that a single large activation spoils its block and nothing else, and no answer depends on its batch.
"""

from __future__ import annotations

import logging

import numpy as np
import onnx_ir as ir

from hfrecipes.targets._graph import constant, drop_unused, replace
from hfrecipes.targets._static import quantize_embeddings

BLOCK = 32
"""Weights that share a scale."""
IN_INT8 = 4
"""`accuracy_level` of MatMulNBits at which activations are quantized, too."""


def weights_only(model: ir.Model, bits: int) -> ir.Model:
    """`model` with its products with weights in `bits` bits (8 or 4), and its embeddings in int8."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    _untie(model.graph)
    quantize_embeddings(model.graph)
    drop_unused(model.graph)
    log = logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer")
    log.setLevel(logging.ERROR)
    made = MatMulNBitsQuantizer(ir.to_proto(model), bits=bits, block_size=BLOCK, is_symmetric=True, accuracy_level=IN_INT8)
    made.process()
    return ir.from_proto(made.model.model)


def _untie(graph: ir.Graph) -> None:
    """Give products that read a matrix turned round (as a head reads the embeddings that it shares) a weight of their own."""
    for node in [node for node in graph if node.op_type in ("MatMul", "FusedMatMul")]:
        source = _turned(node)
        if source is None or source.const_value is None or len(source.const_value.shape) != 2:
            continue
        turned = constant(graph, f"{source.name}_turned", np.ascontiguousarray(source.const_value.numpy().T))
        made = ir.node("MatMul", [node.inputs[0], turned], name=f"{node.name}_untied")
        graph.insert_before(node, made)
        replace(graph, node, made.outputs[0])
    for node in [node for node in graph if node.op_type == "Transpose"]:
        if not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            graph.remove(node, safe=True)


def _turned(node: ir.Node) -> ir.Value | None:
    """What a product reads turned round as its second factor, or None."""
    second = node.inputs[1]
    if node.op_type == "MatMul":
        producer = second.producer() if second is not None else None
        return producer.inputs[0] if producer is not None and producer.op_type == "Transpose" else None
    plain = {"alpha": 1.0, "transA": 0, "transB": 1, "transBatchA": 0, "transBatchB": 0}
    flags = plain | {"transB": 0} | {name: attribute.value for name, attribute in node.attributes.items()}
    return second if flags == plain else None
