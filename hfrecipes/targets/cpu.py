"""cpu: ONNX for ONNX Runtime on any CPU, in fp32 and in dynamic int8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.part import value
from hfrecipes.targets import Graph, Target, quiet, trace

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


@value
class Cpu(Target):
    """ONNX for ONNX Runtime on any CPU.

    `quantize: dynamic` adds `onnx/model_quantized.onnx`: the weights of all operators, embeddings included, as int8 with one
    scale a channel; activations are quantized as they come, with one scale over the batch.
    """

    quantize: Literal["dynamic"] | None = "dynamic"
    opset: int | None = None

    providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        import onnx_ir
        from transformers.exporters import OnnxConfig, OnnxExporter, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

        traced = trace(samples[0])
        with quiet():
            program = OnnxExporter().export(model, traced, OnnxConfig(dynamic=True, opset_version=self.opset)).program
            (folder / "onnx").mkdir(parents=True)
            onnx_ir.save(program, folder / "onnx/model.onnx")
            graphs = {"fp32": Graph("onnx/model.onnx", "float32", batch_dependent=False)}
            if self.quantize == "dynamic":
                from onnxruntime.quantization import QuantType

                options = OnnxRuntimeDynamicConfig(per_channel=True, weight_type=QuantType.QInt8)
                small = OnnxRuntimeQuantizer(options).quantize(program, traced, "onnx")
                onnx_ir.save(small, folder / "onnx/model_quantized.onnx")
                graphs["int8"] = Graph(
                    "onnx/model_quantized.onnx", "int8 weights per channel, dynamic activations", batch_dependent=True
                )
        return graphs
