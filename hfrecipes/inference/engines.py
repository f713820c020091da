"""Engines: what turns a batch of arrays into output arrays. Each imports its own library only when it is opened."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
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
NVIDIA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
"""Providers whose libraries come as Python packages, where the system's loader does not look."""
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
    session = session_of(str(file), providers, threads, options)
    if session is None:
        what = f"{providers[0]} has no device {options.get('device_id', 0)}, or not its libraries"
        packages = ", or run: pip install 'onnxruntime-gpu[cuda,cudnn]'" if providers[0] in NVIDIA else ""
        raise ModelError(str(file), what, f"Give one that is there{packages}")
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


def session_of(graph: str | bytes, providers: Sequence[str], threads: int | None, options: Mapping[str, Any]) -> Any:
    """A session of ONNX Runtime over a file or the bytes of a graph. None where it does not run on the first provider, whose
    device or libraries are not there: ONNX Runtime lists a provider without them, too, and falls back to the CPU."""
    import onnxruntime

    asked = [(providers[0], dict(options)), *providers[1:]]
    with _loaded() if providers[0] in NVIDIA else contextlib.nullcontext():
        session = onnxruntime.InferenceSession(graph, session_options(threads), providers=asked)
    return session if session.get_providers()[0] == providers[0] else None


@contextlib.contextmanager
def _loaded() -> Iterator[None]:
    """Inside, the libraries of NVIDIA's Python packages are loaded, and what ONNX Runtime prints of those that are missing is not
    shown."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
            yield
    finally:
        onnxruntime.set_default_logger_severity(2)


@functools.cache
def starts(provider: str) -> bool:
    """Whether ONNX Runtime runs a graph on one of the providers that it has: it has those whose device or libraries are missing,
    too."""
    if provider == "CPUExecutionProvider":
        return True
    from onnx import TensorProto, helper

    given, same = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", [given], [same])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    return session_of(model.SerializeToString(), [provider], 1, {}) is not None


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
