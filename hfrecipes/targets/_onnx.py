"""What all ONNX targets share: a model as graphs, plain or with a KV cache, and the same graphs quantized."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.targets import Graph
from hfrecipes.targets._shared import share_weights

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

PROMPT = 8
"""Tokens of the rows that a generator is traced with."""


def plain(
    model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path, opset: int | None, half: bool = False
) -> dict[str, Graph]:
    """A model as it is, in fp32 or in fp16: `onnx/model.onnx` or `onnx/model_fp16.onnx`, and for a model that writes text the
    folder `onnx/fp32` or `onnx/fp16`."""
    name, precision = ("fp16", "float16") if half else ("fp32", "float32")
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    traced = model.half() if half else model
    if model.can_generate():
        save_generator(export_generator(traced, samples[0], opset), folder / f"onnx/{name}")
        return {name: Graph(f"onnx/{name}", precision, batch_dependent=False)}
    import onnx_ir

    file = "onnx/model_fp16.onnx" if half else "onnx/model.onnx"
    onnx_ir.save(export_graph(traced, samples[0], opset).program, folder / file)
    return {name: Graph(file, precision, batch_dependent=False)}


def export_graph(model: PreTrainedModel, batch: dict[str, np.ndarray], opset: int | None) -> Any:
    """A model that answers in one pass as an `ExportedModel` with one graph, dynamic in rows and tokens, which computes of its
    last layer what its head reads."""
    from transformers.exporters import OnnxConfig, OnnxExporter

    from hfrecipes.targets._first import only_first_token

    with quiet(), hurried():
        exported = OnnxExporter().export(model, tensors(batch), OnnxConfig(dynamic=True, opset_version=opset))
    only_first_token(exported.program)
    return exported


def export_generator(
    model: PreTrainedModel, batch: dict[str, np.ndarray], opset: int | None, fusions: str | None = None
) -> dict[str, Any]:
    """A model that writes text as `ExportedModel`s by folder: the graphs `prefill` and `decode`, and an encoder where it has
    one; with the operators of `fusions`, a kind of device, where it is given."""
    import torch
    from transformers.exporters import OnnxConfig, OnnxExporter

    options = OnnxConfig(dynamic=True, opset_version=opset, ort_fusions=fusions)
    every = tensors(batch)
    prompt = {name: every[name][:3, :PROMPT].contiguous() for name in ("input_ids", "attention_mask")}
    with quiet(), hurried():
        if not model.config.is_encoder_decoder:
            return {".": OnnxExporter().export_for_generation(model, prompt, options)}
        # Two tokens to start with: traced with one, the length of the cache would be taken for a constant.
        start = torch.full((len(prompt["input_ids"]), 2), model.config.decoder_start_token_id)
        mask = torch.ones_like(start)
        mask[0, 0] = 0  # rows that begin at different times are padded at the start
        written = {"decoder_input_ids": start, "decoder_attention_mask": mask}
        decoder = OnnxExporter().export_for_generation(model, {**prompt, **written}, options)
        return {".": decoder, "encoder": OnnxExporter().export(model.get_encoder(), prompt, options)}


def changed(exported: Any, change: Callable[[Any], Any]) -> Any:
    """An `ExportedModel` with each of its graphs changed."""
    from transformers.exporters import ExportedModel

    with quiet():
        components = {
            name: dataclasses.replace(component, program=change(component.program))
            for name, component in exported.components.items()
        }
    return ExportedModel(components, exported.export_format, exported.config, exported.generation_config)


def quantized(exported: Any, writes: bool) -> Any:
    """The same graphs with the weights of all operators, embeddings included, as int8 with one scale a channel.

    In models that write the outer layers of the feed-forward stay in fp32: single activations of T5 and of llamas are a hundred
    times larger than the rest there, and one scale for all leaves little of the others (flan-t5-small: the encoder's states
    have a cosine of 0.881 to fp32's with them, of 0.997 without; SmolLM2-135M: its logits 0.998 and 0.9997).
    """
    from onnxruntime.quantization import QuantType
    from transformers.exporters import OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

    def change(program: Any) -> Any:
        kept = narrowing(program, exported.config.hidden_size) if writes else None
        options = OnnxRuntimeDynamicConfig(per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=kept)
        return OnnxRuntimeQuantizer(options).quantize(program, {}, exported.export_format)

    return changed(exported, change)


def narrowing(program: Any, width: int) -> list[str]:
    """The names of the products with a weight that bring more than `width` units back to `width`: the outer layers of
    feed-forwards."""
    shapes = {name: tuple(entry.shape) for name, entry in program.graph.initializers.items()}
    products = [node for node in program.graph if node.op_type == "MatMul"]
    found = [(node.name, shapes.get(node.inputs[1].name, ())) for node in products]
    return [name for name, shape in found if len(shape) == 2 and shape[0] > width == shape[1]]


def save_generator(exported: dict[str, Any], folder: Path) -> None:
    """Write the graphs of a generator below `folder`, the weights that they share once."""
    for name, part in exported.items():
        part.save_pretrained(folder / name)
        share_weights(folder / name)


def tensors(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    """A batch as tensors to trace with.

    It has two rows at least, since a dimension of 1 would be taken for a constant, and its first row is masked at the end and
    at the start: traced with a mask of ones, masking would be taken for needless and padding would count.
    """
    import torch

    found = {name: torch.from_numpy(array.copy()) for name, array in batch.items()}
    found["attention_mask"][0, [0, -1]] = 0
    return found


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Trace in 8/9 of the time: without the line of Python that each node comes from, which no bundle keeps, and with a garbage
    collector that seldom looks at what tracing makes, most of which stays."""
    from torch.fx import config

    thresholds = gc.get_threshold()
    traced = getattr(config, "do_not_emit_stack_traces", None)  # older PyTorch has no such word
    gc.set_threshold(100_000, 50, 100)
    if traced is not None:
        config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if traced is not None:
            config.do_not_emit_stack_traces = traced


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters print out of a run's log; what goes wrong is raised."""
    names = ("torch.onnx", "transformers", "root", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)
