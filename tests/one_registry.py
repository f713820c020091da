"""Exports in tests: what PyTorch makes anew for every graph is made once a process."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_registry() -> Iterator[None]:
    """PyTorch's table of ONNX operators is built once, not for each graph: a fifth of the export of a tiny model."""
    from torch.onnx._internal.exporter import _registration

    build: Any = functools.cache(_registration.ONNXRegistry.from_torchlib)

    def built(*given: Any, **named: Any) -> Any:
        found = copy.copy(build(*given, **named))
        found.functions = {name: list(known) for name, known in found.functions.items()}
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_registration.ONNXRegistry, "from_torchlib", staticmethod(built))
        yield
