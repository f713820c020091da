"""Static int8 of an ONNX graph: scales of activations from calibration data, so that no answer depends on its batch.

The weights of products become int8 with one scale a unit, embeddings int8 with one scale a row; the activations that products
read become uint8 with a range that calibration found. Where it halves the error of the product or nearly so, channels are scaled
against each other before (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438), with the exponent that does best on the calibration
data. Everything else, residual sums included, stays fp32. Products are ONNX Runtime's own `MatMulIntegerToFloat`, which adds the
bias, too, and attention its `MultiHeadAttention`; a tensor that several products read is quantized once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from hfrecipes.targets._attention import join_attention
from hfrecipes.targets._graph import MICROSOFT, constant, drop_unused, replace

EXPONENTS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of an activation's spread that smoothing moves into the weights."""
GAIN = 0.75
"""Smoothing is an operator more: it must leave at most this share of the squared error."""
TOKENS = 2048
"""Rows of an activation on which settings are compared."""


@dataclass
class Seen:
    """What calibration saw of an activation: `rows` of shape (at most `TOKENS`, units), and each unit's range over all rows."""

    rows: list[np.ndarray] = field(default_factory=list)
    low: Any = 0.0
    high: Any = 0.0

    def add(self, found: np.ndarray, most: int) -> None:
        """Take in activations of shape (rows, units)."""
        self.rows.append(found[:: -(-len(found) // most)])
        self.low, self.high = np.minimum(self.low, found.min(0)), np.maximum(self.high, found.max(0))


def static(model: ir.Model, batches: Sequence[Mapping[str, np.ndarray]]) -> ir.Model:
    """`model`, changed in place: its products with weights and its embeddings in int8, calibrated on `batches` of its inputs
    (of which `attention_mask` says which tokens count)."""
    graph = join_attention(model).graph
    products = [node for node in graph if is_product(node)]
    together = by_input(products)
    seen = calibrate(model, [str(mine[0].inputs[0].name) for mine in together], batches)
    for mine in together:
        _quantize(graph, mine, seen[mine[0].inputs[0].name])
    quantize_embeddings(graph)
    drop_unused(graph)
    model.opset_imports.setdefault(MICROSOFT, 1)
    return model


def by_input(products: Sequence[ir.Node]) -> list[list[ir.Node]]:
    """Products in groups that read the same activation."""
    groups: dict[int, list[ir.Node]] = {}
    for node in products:
        groups.setdefault(id(node.inputs[0]), []).append(node)
    return list(groups.values())


def calibrate(model: ir.Model, names: Sequence[str], batches: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Seen]:
    """What the tensors `names` are on `batches`, padding left out."""
    import onnxruntime

    if not names:
        return {}
    proto = ir.to_proto(model)
    there = {output.name for output in proto.graph.output}
    proto.graph.output.extend([type(proto.graph.output[0])(name=name) for name in names if name not in there])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    found = {name: Seen() for name in names}
    most = max(1, TOKENS // len(batches))
    for batch in batches:
        mask = batch["attention_mask"].astype(bool)
        arrays = session.run(list(names), {name: array for name, array in batch.items() if name in wanted})
        for name, array in zip(names, arrays, strict=True):
            per_token = array.ndim == 3 and array.shape[:2] == mask.shape
            found[name].add(array[mask] if per_token else array.reshape(-1, array.shape[-1]), most)
    return found


def _quantize(graph: ir.Graph, products: Sequence[ir.Node], seen: Seen) -> None:
    """Quantize the activation that `products` read once, and each of them."""
    value = products[0].inputs[0]
    rows = np.concatenate(seen.rows)
    weights = [matrix(node) for node in products]
    smooth = smoothing(rows, np.concatenate(weights, axis=1), seen)
    low, high = np.min(seen.low / smooth), np.max(seen.high / smooth)
    scale, zero = _scale(low, high)
    make = Maker(graph, products[0], value.name or "activation")
    factor = (1 / smooth).astype(np.float32)
    scaled = np.all(smooth == 1) or _scale_values(graph, value, products, factor)
    source = value if scaled else make("Mul", [value, make.constant("smooth", factor)])
    shared = [make.constant("scale", np.float32(scale)), make.constant("zero", np.uint8(zero))]
    quantized = make("QuantizeLinear", [source, *shared])
    for node, weight in zip(products, weights, strict=True):
        use_int8(graph, node, quantized, shared, weight * smooth[:, None])


def use_int8(
    graph: ir.Graph, node: ir.Node, read: ir.Value, shared: Sequence[ir.Value], weight: np.ndarray, scale: ir.Value | None = None
) -> None:
    """Let a product have `weight` (units read, units made) in int8 and `read` what is quantized, with the step and the zero point
    `shared`, its answer multiplied by `scale` where one is given."""
    whole, steps = to_int8(weight, axis=0)
    make = Maker(graph, node, node.outputs[0].name or node.name or "product")
    inputs = [read, make.constant("weight", whole), shared[0], make.constant("steps", steps), shared[1]]
    bias, last = _bias(node)
    if scale is None:
        made = make("MatMulIntegerToFloat", inputs if bias is None else [*inputs, None, bias], MICROSOFT)
    else:
        made = make("Mul", [make("MatMulIntegerToFloat", inputs, MICROSOFT), scale])
        made = make("Add", [made, bias]) if bias is not None else made
    replace(graph, last, made)
    if last is not node:
        graph.remove(node, safe=True)


def _scale_values(graph: ir.Graph, context: ir.Value, products: Sequence[ir.Node], factor: np.ndarray) -> bool:
    """Scale what an attention makes, where `products` alone read it, by scaling its values, in which it is linear: their product
    has steps and a bias a unit already. False where `context` is not an attention's or its values are not such a product's."""
    attention = context.producer()
    values = attention.inputs[2] if attention is not None and attention.op_type == "MultiHeadAttention" else None
    product = values.producer() if values is not None and len(values.uses()) == 1 else None
    others = any(use.node not in products for use in context.uses())
    if product is None or product.op_type != "MatMulIntegerToFloat" or others:
        return False
    make = Maker(graph, product, context.name or "context")
    for place in range(3, len(product.inputs), 3):  # the steps, and the bias where there is one
        held = product.inputs[place]
        assert held is not None and held.const_value is not None
        product.replace_input_with(place, make.constant("scaled", held.const_value.numpy() * factor))
    return True


def smoothing(rows: np.ndarray, weight: np.ndarray, seen: Seen) -> np.ndarray:
    """What to divide each unit of an activation (rows of shape (n, units)) by, and multiply its weights (units, outputs) with."""
    most = np.maximum(np.maximum(-seen.low, seen.high), 1e-5) + np.zeros(len(weight))
    heaviest = np.maximum(np.abs(weight).max(1), 1e-5)
    exact = rows @ weight
    best, least = np.ones(len(weight), np.float32), GAIN * _error(rows, weight, exact, np.ones(len(weight), np.float32), seen)
    for exponent in EXPONENTS:
        tried = (most**exponent / heaviest ** (1 - exponent)).astype(np.float32)
        error = _error(rows, weight, exact, tried, seen)
        if error < least:
            best, least = tried, error
    return best


def _error(rows: np.ndarray, weight: np.ndarray, exact: np.ndarray, smooth: np.ndarray, seen: Seen) -> float:
    """The squared error of a product in int8, scaled by `smooth`."""
    scale, zero = _scale(np.min(seen.low / smooth), np.max(seen.high / smooth))
    read = (np.clip(np.rint(rows / smooth / scale) + zero, 0, 255) - zero) * scale
    whole, steps = to_int8(weight * smooth[:, None], axis=0)
    return float(np.square(read.astype(np.float32) @ (whole * steps) - exact).sum())


def _scale(low: float, high: float) -> tuple[float, int]:
    """Step and zero point of uint8 over a range that holds zero."""
    step = max(float(high - low) / 255, 1e-8)
    return step, int(np.clip(round(-float(low) / step), 0, 255))


def to_int8(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as int8, and its steps along the other axis than `axis`."""
    steps = np.maximum(np.abs(weight).max(axis), 1e-12) / 127
    return np.rint(weight / np.expand_dims(steps, axis)).astype(np.int8), steps.astype(np.float32)


def quantize_embeddings(graph: ir.Graph) -> None:
    """Embeddings as int8, each row with its own scale, read before they are scaled."""
    for node in [node for node in graph if node.op_type == "Gather" and _weight(node.inputs[0]) is not None]:
        _quantize_rows(graph, node)


def _quantize_rows(graph: ir.Graph, node: ir.Node) -> None:
    """Embeddings as int8, each row with its own scale."""
    whole, steps = to_int8(_weight(node.inputs[0]), axis=1)
    make = Maker(graph, node, node.outputs[0].name or "embeddings")
    ids = node.inputs[1]
    rows = make("Cast", [make("Gather", [make.constant("weight", whole), ids])], to=ir.DataType.FLOAT)
    scales = make("Gather", [make.constant("steps", steps[:, None]), ids])
    replace(graph, node, make("Mul", [rows, scales]))


def is_product(node: ir.Node) -> bool:
    """Whether a node multiplies an activation with a weight, in a form that is known."""
    if node.op_type == "Gemm":
        plain = all(node.attributes.get_float(name, 1.0) == 1.0 for name in ("alpha", "beta"))
        if not plain or node.attributes.get_int("transA", 0):
            return False
    elif node.op_type != "MatMul":
        return False
    return _weight(node.inputs[1]) is not None and _weight(node.inputs[0]) is None


def _weight(value: ir.Value | None) -> Any:
    """The fp32 matrix that a value is, or None."""
    if value is None or value.const_value is None or len(value.const_value.shape) != 2:
        return None
    return value.const_value.numpy() if value.dtype == ir.DataType.FLOAT else None


def matrix(node: ir.Node) -> np.ndarray:
    """The weight of a product, of shape (units read, units made)."""
    weight: np.ndarray = _weight(node.inputs[1])
    return weight.T if node.op_type == "Gemm" and node.attributes.get_int("transB", 0) else weight


def _bias(node: ir.Node) -> tuple[ir.Value | None, ir.Node]:
    """The bias that is added to a product, and the node that adds it."""
    if node.op_type == "Gemm":
        return (node.inputs[2] if len(node.inputs) > 2 else None), node
    uses = list(node.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add" or node.outputs[0].is_graph_output():
        return None, node
    other = uses[0].node.inputs[1 - uses[0].idx]
    vector = other is not None and other.const_value is not None and len(other.const_value.shape) == 1
    return (other, uses[0].node) if vector else (None, node)


@dataclass
class Maker:
    """Makes nodes before `place`, and initializers, whose names begin with `prefix`."""

    graph: ir.Graph
    place: ir.Node
    prefix: str
    count: int = 0

    def __call__(self, op: str, inputs: Sequence[ir.Value | None], domain: str = "", **attributes: Any) -> ir.Value:
        name = self._name(op.lower())
        node = ir.node(op, inputs, attributes, domain=domain, name=f"{name}_node", outputs=[ir.Value(name=name)])
        self.graph.insert_before(self.place, node)
        return node.outputs[0]

    def constant(self, what: str, array: Any) -> ir.Value:
        """An initializer that holds `array`."""
        return constant(self.graph, self._name(what), array)

    def _name(self, what: str) -> str:
        self.count += 1
        return f"{self.prefix}_{what}_{self.count}"
