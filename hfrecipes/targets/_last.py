"""Logits of the last tokens alone: who writes needs those of one token of a prompt, who scores those of all.

The products with the vocabulary are a tenth of reading a prompt, and their answers 196 KB a token for a vocabulary of 49,152.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import onnx_ir as ir

from hfrecipes.targets import KEEP
from hfrecipes.targets._graph import NORMS, constant

KEPT = "kept_tokens"
"""The name of the dimension of tokens that have logits."""


def keep_last(model: ir.Model) -> ir.Model:
    """The graph of a prompt, changed in place: `logits` of shape (rows, tokens, vocabulary) are computed for the last
    `logits_to_keep` tokens. Who does not give that input, of shape (1,), gets all. Left alone where the layer norm before the
    logits is not found."""
    graph = model.graph
    norm = _last_norm(graph)
    if norm is None or not _shaped_once(graph, norm.outputs[0]):
        return model
    kept = constant(graph, KEEP, np.zeros(1, np.int64))
    graph.inputs.append(kept)
    end, axis = (constant(graph, f"{KEEP}_{name}", np.array([number])) for name, number in (("end", 2**62), ("axis", 1)))
    begin = ir.node("Neg", [kept], name=f"{KEEP}_begin")
    begin.outputs[0].name = f"{KEEP}_begin"
    graph.insert_before(norm, begin)
    for place in range(NORMS[norm.op_type][0]):
        cut = ir.node("Slice", [norm.inputs[place], begin.outputs[0], end, axis], name=f"{KEEP}_slice_{place}")
        cut.outputs[0].name = f"{KEEP}_states_{place}"
        graph.insert_before(norm, cut)
        norm.replace_input_with(place, cut.outputs[0])
    for made in norm.outputs:
        _name_tokens(made)
    return model


def _shaped_once(graph: ir.Graph, states: ir.Value) -> bool:
    """Whether nothing brings states into another shape, which would name the number of tokens. What brings them into the shape
    that they have is left out."""
    shapes = [use.node for use in states.uses() if use.node.op_type == "Reshape"]
    if any(states.shape is None or node.outputs[0].shape != states.shape for node in shapes):
        return False
    for node in shapes:
        ir.convenience.replace_all_uses_with(node.outputs[0], states)
        graph.remove(node, safe=True)
    return True


def _name_tokens(states: ir.Value) -> None:
    """Say of all that is made of states that its tokens are fewer than those that are read: ONNX Runtime takes dimensions of one
    name for equal, and lets one take the memory of another."""
    if states.shape is None or len(states.shape) < 2:
        return
    tokens, waiting = states.shape[1], [states]
    while waiting:
        value = waiting.pop()
        if value.shape is not None:
            value.shape = ir.Shape([ir.SymbolicDim(KEPT) if dim == tokens else dim for dim in value.shape])
        waiting.extend(output for use in value.uses() for output in use.node.outputs)


def _last_norm(graph: ir.Graph) -> ir.Node | None:
    """The layer norm nearest to the logits; None where there is none, or where more than the logits is made of it."""
    waiting = deque(value for value in graph.outputs if value.name == "logits")
    while waiting:
        node = waiting.popleft().producer()
        if node is not None and node.op_type in NORMS:
            sums = node.outputs[1:]  # a sum that a layer above would read
            return None if any(value.uses() or value.is_graph_output() for value in sums) else node
        waiting.extend(value for value in (node.inputs if node is not None else ()) if value is not None)
    return None
