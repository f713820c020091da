"""Int8 with a range for each token, found as it comes, for models that write.

The weights of products become int8 with one scale a unit made, and what a product reads int8 with one scale a token, its largest
value, so that no answer depends on its batch and nothing is cut off (Yao et al. 2022, arXiv:2206.01861). Where a layer norm makes
what is read, its units are scaled against each other before, which costs nothing there, since its gain and its bias take the
scales (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438). Products are ONNX Runtime's `MatMulIntegerToFloat`: a tenth slower than
weights in blocks for one token, a quarter faster for eight, twice as fast for a prompt.

The outer layers of feed-forwards are left, for weights in blocks: a few of the units that they read are twenty times larger than
the rest at every token. With them in this form, too, SmolLM2-135M is 0.020 nats from fp32 at each token, without 0.007; with
weights in blocks everywhere it is 0.005.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from hfrecipes.targets._graph import MICROSOFT, NORMS, plain_products
from hfrecipes.targets._static import Maker, by_input, is_product, matrix, to_int8, use_int8

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS, WRITTEN, COMPARED = 32, 32, 512
"""Rows that are read to see what layer norms make, tokens written after each where a decoder has an encoder before it, and about
as many tokens on which scales are compared."""
EXPONENTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Shares of an activation's spread that scales move into the weights."""
UNITS = 4096
"""Units made by a product on which scales are compared."""
LEAST = 1e-12
"""What a divisor counts for at least."""


def watch(model: PreTrainedModel, samples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What the layer norms of a model make, shape (tokens, units), by the names of their gains, while it reads rows of `samples`,
    one by one, and writes, where it has an encoder."""
    import torch

    found: dict[str, list[np.ndarray]] = {}
    hooks = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and weight.ndim == 1:
            hooks.append(module.register_forward_hook(_noting(found.setdefault(f"{name}.weight", []))))
    rows = [ids[mask == 1] for batch in samples for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    try:
        with torch.inference_mode():
            for ids in [row for row in rows if len(row)][:ROWS]:
                read = torch.from_numpy(ids[None])
                if model.config.is_encoder_decoder:
                    model.generate(read, max_new_tokens=WRITTEN, do_sample=False, num_beams=1)  # type: ignore[operator]
                else:
                    model(read)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: np.concatenate(made) for name, made in found.items() if made}


def _noting(kept: list[np.ndarray]) -> Callable[..., None]:
    def note(_: Any, __: Any, made: Any) -> None:
        tokens = made.detach().float().numpy().reshape(-1, made.shape[-1])
        kept.append(tokens[:: -(-len(tokens) * ROWS // COMPARED)].copy())

    return note


def of_encoder(model: PreTrainedModel, made: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the layer norms of a model's encoder make, by the names that they have inside of it."""
    encoder = model.get_encoder()
    start = next(f"{name}." for name, module in model.named_modules() if module is encoder)
    return {name.removeprefix(start): tokens for name, tokens in made.items() if name.startswith(start)}


def scales(model: ir.Model, made: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What to divide the units by that the layer norms of a graph make, shape (units,), by the names of their gains."""
    plain_products(model.graph)
    behind = [(_gain(norm), products) for norm, products in _behind_norms(model.graph)]
    return {gain: smoothing(made[gain], products) for gain, products in behind if gain in made}


def smoothing(tokens: np.ndarray, products: Sequence[ir.Node]) -> np.ndarray:
    """What to divide each unit by of what `products` read, so that their error on `tokens`, shape (n, units), is smallest; ones
    where nothing makes it smaller."""
    weight = np.concatenate([matrix(node) for node in products], axis=1)
    weight, tokens = weight[:, :: -(-weight.shape[1] // UNITS)], tokens[:: -(-len(tokens) // COMPARED)]
    exact = tokens @ weight
    tried = [np.ones(len(weight), np.float32)]
    for spread, own in ((np.abs(tokens).max(0), np.abs(weight).max(1)), (_rms(tokens, 0), _rms(weight, 1))):
        tried += [(np.maximum(spread, 1e-5) ** e / np.maximum(own, 1e-5) ** (1 - e)).astype(np.float32) for e in EXPONENTS]
    return min(tried, key=lambda scale: _error(tokens / scale, weight * scale[:, None], exact))


def _rms(array: np.ndarray, axis: int) -> Any:
    return np.sqrt(np.square(array).mean(axis))


def _error(tokens: np.ndarray, weight: np.ndarray, exact: np.ndarray) -> float:
    """The mean share of a token's squared answer by which a product in int8 is off."""
    scale = np.maximum(np.abs(tokens).max(1, keepdims=True), LEAST) / 127
    whole, steps = to_int8(weight, axis=0)
    off = (np.rint(tokens / scale) * scale) @ (whole * steps) - exact
    return float((np.square(off).sum(1) / np.maximum(np.square(exact).sum(1), LEAST)).mean())


def per_token(model: ir.Model, smooth: Mapping[str, np.ndarray]) -> ir.Model:
    """`model`, changed in place: its products with weights in int8, but for the outer layers of feed-forwards, and its layer
    norms divided by `smooth`."""
    graph = model.graph
    plain_products(graph)
    divided: dict[int, np.ndarray] = {}
    for norm, products in _behind_norms(graph):
        if (scale := smooth.get(_gain(norm))) is not None:
            _divide(graph, norm, scale)
            divided |= {id(node): scale for node in products}
    products = [node for node in graph if is_product(node) and (id(node) in divided or not _narrows(node))]
    for mine in by_input(products):
        _quantize(graph, mine, divided.get(id(mine[0]), np.ones(1, np.float32)))
    model.opset_imports.setdefault(MICROSOFT, 1)
    return model


def _quantize(graph: ir.Graph, products: Sequence[ir.Node], smooth: np.ndarray) -> None:
    """Quantize what `products` read once, divided by `smooth` already, and each of them."""
    value = products[0].inputs[0]
    assert value is not None
    make = Maker(graph, products[0], value.name or "activation")
    # Zero for a token of zeros, of which dividing makes something else, and multiplying zeros again.
    largest = make("ReduceMax", [make("Abs", [value]), make.constant("last", np.array([-1]))], keepdims=1)
    shared = [make.constant("step", np.float32(1 / 127)), make.constant("zero", np.uint8(128))]
    quantized = make("QuantizeLinear", [make("Div", [value, largest]), *shared])
    for node in products:
        use_int8(graph, node, quantized, shared, matrix(node) * smooth[:, None], largest)


def _narrows(node: ir.Node) -> bool:
    """Whether a product makes fewer units than it reads, as the outer layer of a feed-forward does."""
    read, made = matrix(node).shape
    return bool(read > made)


def _divide(graph: ir.Graph, norm: ir.Node, smooth: np.ndarray) -> None:
    """Divide what a layer norm makes by dividing its gain and its bias."""
    make = Maker(graph, norm, norm.outputs[0].name or "norm")
    for held, place in _acting(norm):
        assert held.const_value is not None
        norm.replace_input_with(place, make.constant("divided", held.const_value.numpy() / smooth))


def _gain(norm: ir.Node) -> str:
    """The name of the gain of a layer norm."""
    return str(_acting(norm)[0][0].name)


def _acting(norm: ir.Node) -> list[tuple[ir.Value, int]]:
    """The gain and the bias of a layer norm, and where they stand among its inputs."""
    places = [place for place in NORMS[norm.op_type] if place < len(norm.inputs)]
    return [(held, place) for place in places if (held := norm.inputs[place]) is not None]


def _behind_norms(graph: ir.Graph) -> list[tuple[ir.Node, list[ir.Node]]]:
    """Layer norms that products with weights alone read, and those products."""
    found = []
    for norm in [node for node in graph if node.op_type in NORMS]:
        value, acting = norm.outputs[0], _acting(norm)
        if not all(held.const_value is not None for held, _ in acting):
            continue
        uses = _readers(value, len(acting[0][0].const_value.numpy()))
        if uses and all(is_product(use.node) and use.idx == 0 for use in uses):
            found.append((norm, [use.node for use in uses]))
    return found


def _readers(value: ir.Value, units: int) -> list[ir.Usage]:
    """Who reads a value of so many units, in another shape of as many units, too; nobody where the graph gives it out."""
    found: list[ir.Usage] = []
    for use in value.uses():
        made = use.node.outputs[0]
        same = use.node.op_type == "Reshape" and use.idx == 0 and made.shape is not None and made.shape[-1] == units
        found += _readers(made, units) if same else [use]
    return [] if value.is_graph_output() else found
