"""Smoke: one made-up row through what a release serves."""

from __future__ import annotations

from pathlib import Path

from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json
from hfrecipes.inference.predictor import Predictor

TEXT = "One sentence will do."


def answer(folder: Path) -> str:
    """What the bundle that a release serves answers to a made-up row, in words; the checkpoint's answer where it has no bundle,
    and nothing of an adapter alone. Raises ModelError where it gives none."""
    from onnxruntime.capi.onnxruntime_pybind11_state import (
        Fail,
        InvalidArgument,
        InvalidGraph,
        InvalidProtobuf,
        NotImplemented,
        RuntimeException,
    )

    if (folder / "adapter_config.json").is_file():
        return ""
    refusals = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)
    index = folder / "bundles/index.json"
    try:
        predictor = Predictor.open(folder / "bundles" / read_json(index)["default"] if index.is_file() else folder)
        columns = predictor.task.columns.items()
        row = {role: TEXT for role, column in columns if column.text and column.required}
        return str(predictor(predictor.task.sample(row) if row else TEXT))
    except (OSError, ValueError, KeyError, RuntimeError, ModelError, *refusals) as error:
        said = error.what if isinstance(error, ModelError) else str(error)
        first = next(iter(said.splitlines()), type(error).__name__)
        raise ModelError(str(folder), f"does not answer: {first}", "Promote a release that does") from error
