"""What is looked at of a graph: all of it but the bytes of its weights, in whatever form they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hfrecipes.errors import ModelError
from hfrecipes.trusted import trusted

OUTSIDE = b"\x0a\x08location\x12\x0b../x/y/z/zz"
"""An entry that says where data lies, as protobuf writes it."""


def model(weights: bytes = b"\x00" * 64) -> onnx.ModelProto:
    """A graph with one weight, which is these bytes."""
    weight = numpy_helper.from_array(np.frombuffer(weights, np.uint8), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, [None]) for name in ("x", "y")]
    return helper.make_model(helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight]))


def look(content: bytes, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(content)
    trusted(folder)


def test_bytes_of_weights_say_nothing(tmp_path: Path) -> None:
    look(model(OUTSIDE + b"ep_cache_context").SerializeToString(), tmp_path)


def branched(weights: bytes, deep: int = 1) -> onnx.ModelProto:
    """A graph with that weight in a branch of a branch …"""
    made = model(weights)
    for _ in range(deep):
        outer = model()
        outer.graph.node.add(op_type="If").attribute.add(name="then_branch", type=5).g.CopyFrom(made.graph)
        made = outer
    return made


def test_bytes_of_weights_in_a_branch_say_nothing_either(tmp_path: Path) -> None:
    look(branched(OUTSIDE + b"ep_cache_context" + b"\x00" * 4096, deep=3).SerializeToString(), tmp_path)


@pytest.mark.parametrize("deep", [1, 3, 40])
def test_data_outside_is_found_in_a_branch(deep: int, tmp_path: Path) -> None:
    made = branched(b"\x00" * 4096, deep)
    graph = made.graph
    for _ in range(deep):
        graph = graph.node[1].attribute[0].g
    graph.initializer[0].external_data.add(key="location", value="../x")
    with pytest.raises(ModelError, match="names a file outside of the folder"):
        look(made.SerializeToString(), tmp_path)


def test_branches_deeper_than_python_calls_are_searched_as_they_are(tmp_path: Path) -> None:
    inner = OUTSIDE + b"\x00" * 4096
    for tag in [*[b"\x32", b"\x2a", b"\x0a"] * 400, b"\x3a"]:  # a graph, in an attribute, in a node, in a graph, …
        size, length = len(inner), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        inner = tag + length + bytes([size]) + inner
    with pytest.raises(ModelError, match="names a file outside of the folder"):
        look(inner, tmp_path)


@pytest.mark.parametrize("part", ["weight", "constant", "sparse", "function", "metadata"])
def test_data_outside_is_found_wherever_a_graph_may_name_it(part: str, tmp_path: Path) -> None:
    made = model()
    held = {
        "weight": lambda: made.graph.initializer[0],
        "constant": lambda: made.graph.node.add(op_type="Constant").attribute.add(name="value", type=4).t,
        "sparse": lambda: made.graph.sparse_initializer.add().values,
        "function": lambda: made.functions.add().node.add(op_type="Constant").attribute.add(name="value", type=4).t,
    }
    if part == "metadata":
        made.graph.initializer[0].metadata_props.add(key="location", value="../x")
    else:
        held[part]().external_data.add(key="location", value="../x")
    with pytest.raises(ModelError, match="names a file outside of the folder"):
        look(made.SerializeToString(), tmp_path)


def test_a_second_graph_is_looked_at_since_it_is_joined_to_the_first(tmp_path: Path) -> None:
    one, two = model(), onnx.ModelProto()
    two.graph.initializer.add(name="v").external_data.add(key="location", value="../x")
    joined = one.SerializeToString() + two.SerializeToString()
    assert len(onnx.load_model_from_string(joined).graph.initializer) == 2
    with pytest.raises(ModelError, match="outside"):
        look(joined, tmp_path)


@pytest.mark.parametrize(
    "broken",
    [b"\x3a\x7f" + OUTSIDE, b"\x3b" + OUTSIDE, b"\xff" * 12 + OUTSIDE, b"\x3a" + b"\x80" * 10 + OUTSIDE, OUTSIDE + b"\x38"],
    ids=["too long", "a group", "a long tag", "a long length", "ends early"],
)
def test_all_bytes_are_looked_at_of_what_protobuf_does_not_write(broken: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="outside"):
        look(broken, tmp_path)


def test_what_was_compiled_for_a_device_is_refused(tmp_path: Path) -> None:
    made = model()
    made.graph.node.add(op_type="EPContext", domain="com.microsoft").attribute.add(name="ep_cache_context", type=3, s=b"x")
    with pytest.raises(ModelError, match="compiled for a device"):
        look(made.SerializeToString(), tmp_path)
