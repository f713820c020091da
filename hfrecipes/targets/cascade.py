"""cascade: ONNX for ONNX Runtime on any CPU, in which a small model answers what it is sure of, and the run's own the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.errors import blamed
from hfrecipes.models import Model
from hfrecipes.part import value
from hfrecipes.targets import Graph, Opset, Target

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

CONFIDENCES = (0.98, 0.95, 0.9)
"""What is tried where no confidence is given: below, the few held-out rows promise more than new texts keep."""


@value
class Cascade(Target):
    """ONNX for ONNX Runtime on any CPU, in which a small model answers what it is sure of, and the run's own the rest (a cascade
    by confidence, Varshney and Baral 2022, arXiv:2210.05528). Both in static int8, so that no answer depends on its batch.

    `first` is a run of the same labels that reads texts with the same tokenizer: a static student, say, which its teacher then
    stands behind. It answers where its highest probability is at least `confidence`; without one several are tried, and the
    run keeps the fastest that passes its checks (`parity: {quantized: 0.99}` asks for the model's own answer to 99 of 100), or
    the model alone. For text-classification with one label a text.
    """

    first: Model
    confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    opset: Opset | None = None

    providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)

    def signature(self) -> str:
        with blamed("export.cascade.first"):
            return self.first.fingerprint()

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._cascade import export

        confidences = CONFIDENCES if self.confidence is None else (self.confidence,)
        return export(model, samples, folder, self.first, confidences, self.opset)
