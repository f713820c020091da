"""cpu: ONNX for ONNX Runtime on any CPU, in fp32 and in dynamic int8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.part import value
from hfrecipes.targets import Graph, Target

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

INT8 = "int8 weights per channel, dynamic activations"


@value
class Cpu(Target):
    """ONNX for ONNX Runtime on any CPU.

    A model that answers in one pass becomes `onnx/model.onnx`, one that writes text the folder `onnx/fp32` of its graphs with
    a KV cache. `quantize: dynamic` adds `onnx/model_quantized.onnx` (or `onnx/int8`): the weights of all operators, embeddings
    included, as int8 with one scale a channel; activations are quantized as they come, with one scale over the batch.
    """

    quantize: Literal["dynamic"] | None = "dynamic"
    opset: int | None = None

    providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        (folder / "onnx").mkdir(parents=True)
        return self._generator(model, samples, folder) if model.can_generate() else self._single(model, samples, folder)

    def _single(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        import onnx_ir

        from hfrecipes.targets._onnx import export_graph, quantized

        exported = export_graph(model, samples[0], self.opset)
        onnx_ir.save(exported.program, folder / "onnx/model.onnx")
        graphs = {"fp32": Graph("onnx/model.onnx", "float32", batch_dependent=False)}
        if self.quantize == "dynamic":
            onnx_ir.save(quantized(exported, writes=False).program, folder / "onnx/model_quantized.onnx")
            graphs["int8"] = Graph("onnx/model_quantized.onnx", INT8, batch_dependent=True)
        return graphs

    def _generator(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._onnx import export_generator, quantized, save_generator

        exported = export_generator(model, samples[0], self.opset)
        save_generator(exported, folder / "onnx/fp32")
        graphs = {"fp32": Graph("onnx/fp32", "float32", batch_dependent=False)}
        if self.quantize == "dynamic":
            save_generator({name: quantized(part, writes=True) for name, part in exported.items()}, folder / "onnx/int8")
            graphs["int8"] = Graph("onnx/int8", INT8, batch_dependent=True)
        return graphs
