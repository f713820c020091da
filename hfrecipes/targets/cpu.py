"""cpu: ONNX for ONNX Runtime on any CPU, in fp32 and in int8."""

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
class Cpu(Target):
    """ONNX for ONNX Runtime on any CPU, in fp32 and in int8.

    A model that answers in one pass becomes `onnx/model.onnx`, one that writes text the folder `onnx/fp32` of its graphs with
    a KV cache. Their int8 forms hold the weights of products with one scale a channel, and the embeddings. `quantize: dynamic`
    quantizes activations as they come, with one scale over the batch, so that an answer may depend on what it comes with;
    `static` takes ranges from the run's training rows, and no answer depends on its batch. `best` makes both, and the run keeps
    the fastest that passes its checks. A model that writes has no static form: `best` gives activations a scale for each token
    there. `int8_weights` and `int4_weights` hold weights in blocks with a scale each, which is nearer to fp32 and a tenth faster
    than `best` for one row behind a short prompt; prompts take nearly twice the time, and eight rows a third more.
    """

    quantize: Literal["best", "dynamic", "static", "int8_weights", "int4_weights"] | None = "best"
    opset: Opset | None = None

    providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._cpu import export

        return export(model, samples, folder, self.quantize, self.opset)
