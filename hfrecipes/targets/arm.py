"""arm: ONNX for ONNX Runtime on ARM processors (servers, Macs, phones), in fp32 and in int8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.part import value
from hfrecipes.targets import Graph, Opset, Target

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


@value
class Arm(Target):
    """ONNX for ONNX Runtime on ARM processors (servers, Macs, phones), in fp32 and in int8.

    The graphs are those of `cpu`. Exported on another processor they are not timed: `quantize: best` keeps the static form there.
    """

    quantize: Literal["best", "dynamic", "static", "int8_weights", "int4_weights"] | None = "best"
    opset: Opset | None = None

    providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)
    machines: ClassVar[tuple[str, ...]] = ("aarch64", "arm64")

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._cpu import export

        return export(model, samples, folder, self.quantize, self.opset)
