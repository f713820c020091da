"""Traces: where in the code each operator of a graph came from. An exporter writes it down, with the folders of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def forget_traces(folder: Path) -> None:
    """Take the traces, and all else that runs nothing, out of every ONNX file below a folder; weights beside them stay."""
    import onnx

    for file in sorted(folder.rglob("*.onnx")):
        model = onnx.load(str(file), load_external_data=False)
        _forget(model)
        _forget(model.graph)
        for function in model.functions:
            _forget(function)
            _forget_nodes(function.node)
        _forget_graph(model.graph)
        file.write_bytes(model.SerializeToString())


def _forget_graph(graph: Any) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        _forget(value)
    _forget_nodes(graph.node)


def _forget_nodes(nodes: Any) -> None:
    for node in nodes:
        _forget(node)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget(attribute.g)
                _forget_graph(attribute.g)
            for graph in attribute.graphs:
                _forget(graph)
                _forget_graph(graph)


def _forget(part: Any) -> None:
    part.doc_string = ""
    del part.metadata_props[:]
