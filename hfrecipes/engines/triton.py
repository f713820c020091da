"""triton: a model repository of NVIDIA Triton."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.engines import Bundle, Engine
from hfrecipes.errors import ModelError
from hfrecipes.folder import READER_FILES
from hfrecipes.part import value

if TYPE_CHECKING:
    from onnx import ValueInfoProto

TYPES = {
    "FLOAT": "TYPE_FP32",
    "FLOAT16": "TYPE_FP16",
    "BFLOAT16": "TYPE_BF16",
    "DOUBLE": "TYPE_FP64",
    "INT8": "TYPE_INT8",
    "INT16": "TYPE_INT16",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
    "UINT8": "TYPE_UINT8",
    "BOOL": "TYPE_BOOL",
}
"""ONNX's types of elements, and Triton's."""


@value
class Triton(Engine):
    """A model repository of Triton: the ONNX graph with its types and shapes, and requests of one length in batches.

    `tritonserver --model-repository FOLDER`. The client sends token ids: the tokenizer lies beside the graph. Up to `rows` rows
    go together, and the first waits `wait_ms` for others.
    """

    rows: Annotated[int, Field(ge=1)] = 64
    wait_ms: Annotated[float, Field(ge=0)] = 2.0

    def write(self, bundle: Bundle, folder: Path) -> None:
        import onnx

        file = bundle.folder / bundle.graph["file"]
        if bundle.generates or file.suffix != ".onnx":
            what = "writes with several graphs" if bundle.generates else f"is served from {file.name}"
            raise ModelError(str(bundle.folder), f"{what}, and Triton is given one ONNX graph", "Take kserve or ray_serve")
        graph = onnx.load(str(file), load_external_data=False).graph
        home = folder / bundle.name
        (home / "1").mkdir(parents=True)
        shutil.copyfile(file, home / "1/model.onnx")
        for each in sorted(
            {entry.value for tensor in graph.initializer for entry in tensor.external_data if entry.key == "location"}
        ):
            shutil.copyfile(file.parent / each, home / "1" / each)
        for name in READER_FILES:
            shutil.copyfile(bundle.folder / name, home / name)
        batched = all(each.type.tensor_type.shape.dim[0].dim_param for each in (*graph.input, *graph.output))
        inputs, outputs = ([_tensor(each, batched) for each in found] for found in (graph.input, graph.output))
        labels = json.loads((bundle.folder / "config.json").read_text("utf-8")).get("id2label", {})
        for output in outputs:
            if batched and output["dims"] == [len(labels)]:
                output["label_filename"] = '"labels.txt"'
                (home / "labels.txt").write_text("".join(f"{labels[str(i)]}\n" for i in range(len(labels))), "utf-8")
        (home / "config.pbtxt").write_text(self._config(bundle, batched, inputs, outputs), "utf-8")

    def _config(self, bundle: Bundle, batched: bool, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> str:
        parts = [
            *(["# An answer of this graph may depend on what else is in its batch."] if bundle.graph["batch_dependent"] else []),
            f'name: "{bundle.name}"',
            'backend: "onnxruntime"',
            'default_model_filename: "model.onnx"',
            f"max_batch_size: {self.rows if batched else 0}",
            *(f"{kind} [\n{_entries(each)}\n]" for kind, each in (("input", inputs), ("output", outputs))),
            f"instance_group [\n  {{ count: 1, kind: {'KIND_GPU' if bundle.on_gpu else 'KIND_CPU'} }}\n]",
            *([f"dynamic_batching {{ max_queue_delay_microseconds: {round(1000 * self.wait_ms)} }}"] if batched else []),
        ]
        return "\n".join(parts) + "\n"


def _tensor(found: ValueInfoProto, batched: bool) -> dict[str, Any]:
    """The name, the type and the shape of what goes in or comes out; -1 is any length, and the rows are not told."""
    import onnx

    tensor = found.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
    kind = TYPES[onnx.TensorProto.DataType.Name(tensor.elem_type)]
    return {"name": f'"{found.name}"', "data_type": kind, "dims": dims[1:] if batched else dims}


def _entries(tensors: list[dict[str, Any]]) -> str:
    return ",\n".join("  { " + ", ".join(f"{key}: {entry}" for key, entry in each.items()) + " }" for each in tensors)
