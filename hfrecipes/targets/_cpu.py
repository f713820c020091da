"""What the targets for CPUs share: fp32, and int8 with dynamic or static activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hfrecipes.errors import RecipeError
from hfrecipes.targets import Graph

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

Quantize = Literal["best", "dynamic", "static", "int8_weights", "int4_weights"]
BITS: dict[str, int] = {"int8_weights": 8, "int4_weights": 4}
WEIGHTS = "int{bits} weights in blocks of 32, activations quantized in the same blocks"
DYNAMIC = "int8 weights per channel, dynamic activations"
STATIC = "int8 weights per channel, static activations"
OUTER = 128
"""Weights of the outer layers of feed-forwards that share a scale beside products with a scale a token. With 32 the KL to fp32 of
SmolLM2-135M is 0.0074, 0.0109 and 0.0077 a token (SciTLDR, Shakespeare, State of the Union), with 128 it is 0.0086, 0.0124 and
0.0086, and these products take 0.72 of the time."""
PER_TOKEN = f"int8 weights per channel, activations per token; outer layers of feed-forwards in blocks of {OUTER}"


def export(
    model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path, quantize: Quantize | None, opset: int | None
) -> dict[str, Graph]:
    """The graphs of a bundle for a CPU. Raises RecipeError where a model that writes is asked for its static form."""
    (folder / "onnx").mkdir(parents=True)
    if not model.can_generate():
        return _single(model, samples, folder, quantize, opset)
    if quantize == "static":
        raise RecipeError(
            "export.quantize", "a model that writes has no static form", "Write best, int8_weights, dynamic or null"
        )
    return _generator(model, samples, folder, quantize, opset)


def _single(
    model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path, quantize: Quantize | None, opset: int | None
) -> dict[str, Graph]:
    import onnx_ir

    from hfrecipes.targets._onnx import export_graph, quantized
    from hfrecipes.targets._static import static
    from hfrecipes.targets._weights import weights_only

    exported = export_graph(model, samples[0], opset)
    plain = folder / "onnx/model.onnx"
    onnx_ir.save(exported.program, plain)
    graphs = {"fp32": Graph("onnx/model.onnx", "float32", batch_dependent=False)}
    if quantize in BITS:
        name, bits = quantize.removesuffix("_weights"), BITS[quantize]
        onnx_ir.save(weights_only(onnx_ir.load(plain), bits), folder / "onnx/model_quantized.onnx")
        return graphs | {name: Graph("onnx/model_quantized.onnx", WEIGHTS.format(bits=bits), batch_dependent=False)}
    for variant in ("dynamic", "static") if quantize == "best" else [quantize] if quantize else []:
        name, file = "int8", "onnx/model_quantized.onnx"
        if quantize == "best":
            name, file = f"int8/{variant}", f"onnx/model_{variant}.onnx"
        moving = variant == "dynamic"
        made = quantized(exported, writes=False).program if moving else static(onnx_ir.load(plain), samples)
        onnx_ir.save(made, folder / file)
        graphs[name] = Graph(file, DYNAMIC if moving else STATIC, batch_dependent=moving)
    return graphs


def _generator(
    model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path, quantize: Quantize | None, opset: int | None
) -> dict[str, Graph]:
    from hfrecipes.targets._fixed import ask_fixed
    from hfrecipes.targets._last import keep_last
    from hfrecipes.targets._onnx import changed, export_generator, quantized, save_generator
    from hfrecipes.targets._weights import weights_only

    exported = export_generator(model, samples[0], opset, fusions=None if quantize == "dynamic" else "cpu")
    parts = exported["."].components
    if model.config.is_encoder_decoder:
        ask_fixed(parts["decode"].program)
    else:
        keep_last(parts["prefill"].program)
    save_generator(exported, folder / "onnx/fp32")
    graphs = {"fp32": Graph("onnx/fp32", "float32", batch_dependent=False)}
    if quantize in BITS:
        name, bits = quantize.removesuffix("_weights"), BITS[quantize]
        made = {part: changed(each, lambda program: weights_only(program, bits)) for part, each in exported.items()}
        save_generator(made, folder / f"onnx/{name}")
        graphs[name] = Graph(f"onnx/{name}", WEIGHTS.format(bits=bits), batch_dependent=False)
    elif quantize == "dynamic":
        save_generator({part: quantized(each, writes=True) for part, each in exported.items()}, folder / "onnx/int8")
        graphs["int8"] = Graph("onnx/int8", DYNAMIC, batch_dependent=True)
    elif quantize:
        save_generator(_per_token(model, samples, exported), folder / "onnx/int8")
        graphs["int8"] = Graph("onnx/int8", PER_TOKEN, batch_dependent=False)
    return graphs


def _per_token(model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], exported: Mapping[str, Any]) -> dict[str, Any]:
    """The graphs of a generator with a range of activations for each token."""
    from hfrecipes.targets._onnx import changed, quiet
    from hfrecipes.targets._per_token import of_encoder, per_token, scales, watch
    from hfrecipes.targets._weights import weights_only

    with quiet():
        seen = watch(model, samples)

    def made(part: str, each: Any) -> Any:
        first = next(iter(each.components.values())).program  # that of a step has the same weights
        smooth = scales(first, of_encoder(model, seen) if part == "encoder" else seen)
        return changed(each, lambda program: weights_only(per_token(program, smooth), 8, OUTER))

    return {part: made(part, each) for part, each in exported.items()}
