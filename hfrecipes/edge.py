"""Edge: what other libraries raise on a file that somebody else made, as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hfrecipes.errors import ModelError

USUAL = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, ImportError, MemoryError)
FOREIGN = ("google", "huggingface_hub", "jinja2", "onnxruntime", "pyo3_runtime", "safetensors", "safetensors_rust", "tokenizers")
"""Packages whose errors are of classes of their own; a panic of Rust (`pyo3_runtime`) is no `Exception` at all."""


@contextmanager
def explained(where: str, what: str, instead: str) -> Iterator[None]:
    """What a library says about a file that it cannot read, as ModelError: `what` went wrong with the first line of it behind."""
    try:
        yield
    except BaseException as error:
        package = type(error).__module__.partition(".")[0]
        if not isinstance(error, USUAL) and type(error) is not Exception and package not in FOREIGN:
            raise
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(where, f"{what}: {first[:300]}", instead) from error
