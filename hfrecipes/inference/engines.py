"""Engines: what turns a batch of arrays into output arrays. Each imports its own library only when it is opened."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hfrecipes.edge import explained
from hfrecipes.errors import DependencyError, ModelError

if TYPE_CHECKING:
    import numpy as np

Engine = Callable[[Mapping[str, "np.ndarray"]], dict[str, "np.ndarray"]]
OPENVINO = "OpenVINOExecutionProvider"
"""The provider of bundles that OpenVINO runs itself."""
FAILS, AGAIN = "it fails on what its tokenizer makes of a text", "Take the tokenizer that it was trained with"


def engine_of(
    file: Path, providers: Sequence[str], threads: int | None, options: Mapping[str, Any] = MappingProxyType({})
) -> Engine:
    """The engine for one graph of a bundle that was made for `providers`."""
    return openvino_engine(file, threads) if providers[0] == OPENVINO else onnx_engine(file, providers, threads, options)


def onnx_engine(
    file: Path, providers: Sequence[str], threads: int | None, options: Mapping[str, Any] = MappingProxyType({})
) -> Engine:
    """ONNX Runtime over one graph; `threads` is the number of its own threads (all cores by default), `options` are those of the
    first provider."""
    import onnxruntime

    missing = [name for name in providers if name not in onnxruntime.get_available_providers()]
    if missing:
        raise ModelError(
            str(file), f"needs the provider {missing[0]}", f"This machine has: {', '.join(onnxruntime.get_available_providers())}"
        )
    asked = [(providers[0], dict(options)), *providers[1:]]
    session = onnxruntime.InferenceSession(str(file), session_options(threads), providers=asked)
    if session.get_providers()[0] != providers[0]:  # ONNX Runtime falls back to the CPU without an error
        raise ModelError(str(file), f"{providers[0]} has no device {options.get('device_id', 0)}", "Give one that is there")
    wanted = {entry.name for entry in session.get_inputs()}
    named = [entry.name for entry in session.get_outputs()]

    def run(batch: Mapping[str, Any]) -> dict[str, Any]:
        with explained(str(file), FAILS, AGAIN):
            outputs = session.run(None, {name: array for name, array in batch.items() if name in wanted})
        return {
            name: array.astype("float32") if array.dtype == "float16" else array
            for name, array in zip(named, outputs, strict=True)
        }

    return run


def session_options(threads: int | None) -> Any:
    """Options of a session of ONNX Runtime: its own threads, warnings not shown, residual sums and layer norms left apart.

    ONNX Runtime 1.32 would make one operator of a sum and the layer norm behind it, which its CPU provider computes unvectorised:
    23 % of the time of an int8 MiniLM on 768 tokens, against 6 % for the two operators.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("optimization.disable_specified_optimizers", "SkipLayerNormFusion")
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


def openvino_engine(file: Path, threads: int | None) -> Engine:
    """OpenVINO over one graph on the CPU, with `threads` threads (all cores by default). What is in fp32 is computed in fp32:
    left to itself, OpenVINO takes bf16 where the processor has it. Raises DependencyError where the package is missing."""
    if importlib.util.find_spec("openvino") is None:
        raise DependencyError(str(file), "needs openvino", "Run: pip install 'hfrecipes[openvino]'")
    openvino: Any = importlib.import_module("openvino")
    options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    request = core.compile_model(core.read_model(str(file)), "CPU", options).create_infer_request()
    wanted = [entry.get_any_name() for entry in request.model_inputs]
    named = [entry.get_any_name() for entry in request.model_outputs]

    def run(batch: Mapping[str, Any]) -> dict[str, Any]:
        found = request.infer({name: batch[name] for name in wanted})
        return {name: found[name].copy() for name in named}  # its memory is that of the next answer, too

    return run


def torch_engine(model: Any) -> Engine:
    """A PyTorch model of transformers in evaluation mode, on the device it lies on."""
    import torch

    model.eval()

    def run(batch: Mapping[str, Any]) -> dict[str, Any]:
        with torch.inference_mode(), explained("model", FAILS, AGAIN):
            outputs = model(**{name: torch.from_numpy(array).to(model.device) for name, array in batch.items()})
        return {name: tensor.float().cpu().numpy() for name, tensor in outputs.items() if torch.is_tensor(tensor)}

    return run
