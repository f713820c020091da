"""Weights that two graphs share: one file, the same answers; and what is not there stays where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hfrecipes.targets._shared import share_weights


def write(file: Path, weights: list[np.ndarray]) -> None:
    """A graph that adds all the weights, which lie in a file beside it."""
    names = [f"w{i}" for i in range(len(weights))]
    held = [numpy_helper.from_array(array, name) for name, array in zip(names, weights, strict=True)]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [64, 64])
    made = helper.make_graph([helper.make_node("Sum", names, ["y"])], "g", [], [y], held)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, str(file), save_as_external_data=True, location=f"{file.name}.data", size_threshold=0)


def answer(file: Path) -> np.ndarray:
    """What a graph gives."""
    found: np.ndarray = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, {})[0]
    return found


@pytest.mark.parametrize("shared", [True, False])
def test_a_file_goes_only_where_all_of_its_weights_are_in_the_other(shared: bool, tmp_path: Path) -> None:
    first, second, third = (np.random.default_rng(i).normal(size=(64, 64)).astype(np.float32) for i in range(3))
    write(tmp_path / "prefill.onnx", [first, second])
    write(tmp_path / "decode.onnx", [second] if shared else [second, third])
    exact = answer(tmp_path / "decode.onnx")
    share_weights(tmp_path)
    assert ((tmp_path / "decode.onnx.data").stat().st_size == 0) == shared
    assert np.array_equal(answer(tmp_path / "decode.onnx"), exact)
    share_weights(tmp_path)
    assert np.array_equal(answer(tmp_path / "decode.onnx"), exact)
