"""cpu: ONNX for ONNX Runtime on any CPU, in fp32 and in int8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.errors import RecipeError
from hfrecipes.part import value
from hfrecipes.targets import Graph, Target

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

DYNAMIC = "int8 weights per channel, dynamic activations"
STATIC = "int8 weights per channel, static activations"


@value
class Cpu(Target):
    """ONNX for ONNX Runtime on any CPU.

    A model that answers in one pass becomes `onnx/model.onnx`, one that writes text the folder `onnx/fp32` of its graphs with
    a KV cache. Their int8 forms hold the weights of products with one scale a channel, and the embeddings. `quantize: dynamic`
    quantizes activations as they come, with one scale over the batch, so that an answer may depend on what it comes with;
    `static` takes ranges from the run's training rows, and no answer depends on its batch. `best` makes both, and the run keeps
    the fastest that passes its checks. A model that writes has the dynamic form alone.
    """

    quantize: Literal["best", "dynamic", "static"] | None = "best"
    opset: int | None = None

    providers: ClassVar[tuple[str, ...]] = ("CPUExecutionProvider",)

    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        (folder / "onnx").mkdir(parents=True)
        return self._generator(model, samples, folder) if model.can_generate() else self._single(model, samples, folder)

    def _single(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        import onnx_ir

        from hfrecipes.targets._onnx import export_graph, quantized
        from hfrecipes.targets._static import static

        exported = export_graph(model, samples[0], self.opset)
        plain = folder / "onnx/model.onnx"
        onnx_ir.save(exported.program, plain)
        graphs = {"fp32": Graph("onnx/model.onnx", "float32", batch_dependent=False)}
        for variant in ("dynamic", "static") if self.quantize == "best" else [self.quantize] if self.quantize else []:
            name, file = ("int8", "onnx/model_quantized.onnx")
            if self.quantize == "best":
                name, file = f"int8/{variant}", f"onnx/model_{variant}.onnx"
            moving = variant == "dynamic"
            made = quantized(exported, writes=False).program if moving else static(onnx_ir.load(plain), samples)
            onnx_ir.save(made, folder / file)
            graphs[name] = Graph(file, DYNAMIC if moving else STATIC, batch_dependent=moving)
        return graphs

    def _generator(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        from hfrecipes.targets._onnx import export_generator, quantized, save_generator

        exported = export_generator(model, samples[0], self.opset)
        save_generator(exported, folder / "onnx/fp32")
        graphs = {"fp32": Graph("onnx/fp32", "float32", batch_dependent=False)}
        if self.quantize == "static":
            raise RecipeError("export.cpu.quantize", "a model that writes has no static form", "Write dynamic, or null")
        if self.quantize:
            save_generator({name: quantized(part, writes=True) for name, part in exported.items()}, folder / "onnx/int8")
            graphs["int8"] = Graph("onnx/int8", DYNAMIC, batch_dependent=True)
        return graphs
