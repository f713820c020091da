"""Weights that the graphs of a generator share: the same numbers lie in one file, not in one for each graph."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIRST, SECOND = "prefill.onnx", "decode.onnx"


def share_weights(folder: Path) -> None:
    """Let the graph of a step read its weights from the file of the graph of the prompt, where all of them are there."""
    import onnx

    data = folder / f"{SECOND}.data"
    if not data.is_file() or not data.stat().st_size:
        return
    model = onnx.load(str(folder / SECOND), load_external_data=False)
    held = {_content(folder, place): place for _, place in _outside(onnx.load(str(folder / FIRST), load_external_data=False))}
    found = [(tensor, held.get(_content(folder, place))) for tensor, place in _outside(model)]
    if any(place is None for _, place in found):
        return
    for tensor, place in found:
        del tensor.external_data[:]
        for key, entry in (place or {}).items():
            tensor.external_data.add(key=key, value=entry)
    onnx.save(model, str(folder / SECOND))
    data.write_bytes(b"")  # transformers looks whether it is there


def _outside(model: Any) -> list[tuple[Any, dict[str, str]]]:
    """The weights of a graph that lie in another file, and where."""
    import onnx

    tensors = [tensor for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    return [(tensor, {entry.key: entry.value for entry in tensor.external_data}) for tensor in tensors]


def _content(folder: Path, place: Mapping[str, str]) -> bytes:
    with (folder / place["location"]).open("rb") as stream:
        stream.seek(int(place["offset"]))
        return hashlib.blake2b(stream.read(int(place["length"]))).digest()
