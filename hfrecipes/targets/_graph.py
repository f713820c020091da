"""What all that changes an ONNX graph shares: a node replaced, a constant added, weights that nothing reads let go of."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


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
