"""Target: one bundle for one kind of device: converted, quantized, described by its manifest."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import Part

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Graph:
    """One graph of a bundle. `batch_dependent`: an answer may depend on what else is in its batch (dynamic int8 takes one
    scale over the batch)."""

    file: str
    precision: str
    batch_dependent: bool


class Target(Part, kind="targets"):
    """Base of targets. `providers` are ONNX Runtime's execution providers, in the order of preference."""

    providers: ClassVar[tuple[str, ...]]

    @abstractmethod
    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        """Write the graphs below `folder` and return them by name; the last is the one to serve.

        `samples` are batches of the run's own data: the first is traced, all may serve for calibration.
        """


def trace(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    """A batch as tensors to trace with. It has two rows at least, since a dimension of 1 would be taken for a constant."""
    import torch

    return {name: torch.from_numpy(array) for name, array in batch.items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters print out of a run's log; what goes wrong is raised."""
    names = ("torch.onnx", "transformers", "root", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)
