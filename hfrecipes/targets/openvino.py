"""openvino: ONNX for OpenVINO on CPUs, in fp32 and in int8 with smoothed activations."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.errors import RecipeError
from hfrecipes.part import value
from hfrecipes.targets import Graph, Opset, Target

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


@value
class Openvino(Target):
    """ONNX for OpenVINO on CPUs, in fp32 and in int8 with smoothed activations.

    `quantize: nncf` makes int8 with static activations by NNCF, with SmoothQuant (Xiao et al. 2023, arXiv:2211.10438), from the
    run's training rows: no answer depends on its batch. For models that answer in one pass. Needs
    `pip install 'hfrecipes[openvino]'`.
    """

    quantize: Literal["nncf"] | None = None
    opset: Opset | None = None

    providers: ClassVar[tuple[str, ...]] = ("OpenVINOExecutionProvider",)

    def lacking(self) -> str | None:
        there = importlib.util.find_spec("openvino") is not None
        return None if there else "the package openvino (pip install 'hfrecipes[openvino]')"

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._nncf import smoothed
        from hfrecipes.targets._onnx import plain

        if model.can_generate():
            raise RecipeError("export.openvino", "a model that writes has no bundle for OpenVINO", "Write cpu")
        graphs = plain(model, samples, folder, self.opset)
        if self.quantize is None:
            return graphs
        smoothed(folder / graphs["fp32"].file, samples, folder / "onnx/model_quantized.onnx")
        precision = "int8 weights per channel, static activations, smoothed"
        return graphs | {"int8": Graph("onnx/model_quantized.onnx", precision, batch_dependent=False)}
