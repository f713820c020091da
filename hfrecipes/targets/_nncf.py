"""NNCF: static int8 of an ONNX graph with activations smoothed into the weights, as OpenVINO reads it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.errors import DependencyError
from hfrecipes.targets._onnx import quiet

if TYPE_CHECKING:
    import numpy as np


def smoothed(source: Path, samples: Sequence[dict[str, np.ndarray]], made: Path) -> None:
    """Write the graph in `source` in int8 to `made`, with ranges from `samples`. Raises DependencyError where NNCF is missing."""
    if importlib.util.find_spec("nncf") is None:
        raise DependencyError("export.openvino.quantize", "needs nncf", "Run: pip install 'hfrecipes[openvino]'")
    import onnx

    with quiet():
        nncf: Any = importlib.import_module("nncf")
        nncf.set_log_level(logging.ERROR)
        graph = onnx.load(str(source))
        names = [entry.name for entry in graph.graph.input]
        rows = nncf.Dataset(samples, lambda batch: {name: batch[name] for name in names})
        found = nncf.quantize(graph, rows, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))
    onnx.save(found, str(made))
