"""tensorrt: ONNX for TensorRT through ONNX Runtime, in fp16."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hfrecipes.part import value
from hfrecipes.targets import Graph, Opset, Target

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


@value
class Tensorrt(Target):
    """ONNX for TensorRT through ONNX Runtime, in fp16.

    `half`: weights and activations in fp16. Operators that the provider lacks run on the CPU.
    """

    half: bool = True
    opset: Opset | None = None

    providers: ClassVar[tuple[str, ...]] = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._onnx import plain

        return plain(model, samples, folder, self.opset, self.half)
