"""Weights alone in 8 or 4 bits, for models that write: a token of a decoder costs what reading its weights costs.

Products become ONNX Runtime's `MatMulNBits`: weights in blocks of 32 with a scale each, and activations that are quantized in the
same blocks as they come, so that a single large activation spoils its block and nothing else, and no answer depends on its batch.
"""

from __future__ import annotations

import logging

import onnx_ir as ir

from hfrecipes.targets._graph import drop_unused, plain_products
from hfrecipes.targets._static import quantize_embeddings

BLOCK = 32
"""Weights that share a scale."""
IN_INT8 = 4
"""`accuracy_level` of MatMulNBits at which activations are quantized, too."""


def weights_only(model: ir.Model, bits: int, block: int = BLOCK) -> ir.Model:
    """`model` with its products with weights in `bits` bits (8 or 4), in blocks of so many, and its embeddings in int8."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    plain_products(model.graph)
    quantize_embeddings(model.graph)
    drop_unused(model.graph)
    log = logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer")
    log.setLevel(logging.ERROR)
    made = MatMulNBitsQuantizer(ir.to_proto(model), bits=bits, block_size=block, is_symmetric=True, accuracy_level=IN_INT8)
    made.process()
    return ir.from_proto(made.model.model)
