"""Target: one bundle for one kind of device: converted, quantized, described by its manifest."""

from __future__ import annotations

import platform
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.part import Part

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

Opset = Annotated[int, Field(ge=17, le=25)]
"""Versions of ONNX's operators: those that the exporter writes and ONNX Runtime 1.32 reads. Without one it is the exporter's."""

KEEP = "logits_to_keep"
"""An input that the graph of a prompt may have, named as the argument of transformers' models: so many of the last tokens have
logits. Who does not give it gets those of all."""
FIXED = "fixed_rows"
"""An input that the graph of a step may have: so many rows of the caches that it does not change are given out again. Who does
not give it gets all."""


@dataclass(frozen=True)
class Graph:
    """One graph of a bundle, or the folder of a generator's graphs. `batch_dependent`: an answer may depend on what else is in
    its batch (dynamic int8 takes one scale over the batch)."""

    file: str
    precision: str
    batch_dependent: bool


class Target(Part, kind="targets"):
    """Base of targets. `providers` are ONNX Runtime's execution providers, in the order of preference; `machines` the kinds of
    processor that a bundle is for, where it is not for all."""

    providers: ClassVar[tuple[str, ...]]
    machines: ClassVar[tuple[str, ...]] = ()

    def lacking(self) -> str | None:
        """What this machine lacks to run a bundle of this target, in words; None where it lacks nothing."""
        import onnxruntime

        from hfrecipes.inference.engines import starts

        if self.machines and platform.machine() not in self.machines:
            return f"a processor of the kind {self.machines[0]}"
        missing = [name for name in self.providers if name not in onnxruntime.get_available_providers()]
        if missing:
            return f"the provider {missing[0]}"
        idle = [name for name in self.providers if not starts(name)]
        return f"a device or libraries for the provider {idle[0]}" if idle else None

    def signature(self) -> str:
        """Changes with what the export reads outside of the run; nothing for most."""
        return ""

    @abstractmethod
    def export(self, model: PreTrainedModel, samples: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, Graph]:
        """Write the graphs below `folder` and return them by name: `KIND`, or `KIND/VARIANT` where several are made of a kind,
        of which the run keeps one. The last is the one to serve, where nothing is chosen.

        `samples` are batches of the run's own data: the first is traced, all may serve for calibration. `folder` holds the
        files already that a reader of texts needs.
        """
