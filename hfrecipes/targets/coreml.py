"""coreml: ONNX for Apple's GPU and neural engine through Core ML, in fp32, which Core ML rounds itself."""

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
class Coreml(Target):
    """ONNX for Apple's GPU and neural engine through Core ML, in fp32, which Core ML rounds itself.

    `half`: weights and activations in fp16. Operators that the provider lacks run on the CPU.
    """

    half: bool = False
    opset: Opset | None = None

    providers: ClassVar[tuple[str, ...]] = ("CoreMLExecutionProvider", "CPUExecutionProvider")

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._onnx import plain

        return plain(model, samples, folder, self.opset, self.half)
