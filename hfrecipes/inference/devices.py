"""Devices: where the sessions of a predictor run, one session each, fed from one queue."""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hfrecipes.errors import ModelError, UserError
from hfrecipes.inference.engines import NVIDIA, Engine

if TYPE_CHECKING:
    import numpy as np

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "dml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
"""ONNX Runtime's execution provider by the name that a device has."""


@dataclass(frozen=True)
class Device:
    """One place to run: the execution provider, its options, and the core that its thread stays on (None: any)."""

    provider: str
    options: Mapping[str, Any]
    core: int | None = None


def devices_of(given: Sequence[str] | str, providers: Sequence[str]) -> list[Device]:
    """The devices in `given`: `cpu`, `cpu:3`, `cuda:0`, …, or `auto` for every core or every device of the bundle's provider.

    Raises ModelError for a device that the bundle was not made for or that this machine lacks, and UserError for a name that is
    none.
    """
    import onnxruntime

    there = onnxruntime.get_available_providers()
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))
    names = [given] if isinstance(given, str) else list(given)
    if names == ["auto"]:
        kind = next(name for name, provider in PROVIDERS.items() if provider == providers[0])
        count = max(1, gpus()) if providers[0] in NVIDIA else 1
        names = ["cpu"] * len(cores) if kind == "cpu" else [f"{kind}:{number}" for number in range(count)]
    if not names:
        raise UserError("devices", "is empty", "Write cpu, or several: [cpu, cpu]")
    free = iter(cores)
    found = []
    for name in names:
        kind, _, index = name.partition(":")
        if kind not in PROVIDERS or (index and not index.isdigit()):
            raise UserError("devices", f"'{name}' is no device", f"One of: {', '.join(PROVIDERS)}, or with a number: cuda:0")
        if PROVIDERS[kind] not in (*providers, PROVIDERS["cpu"]):
            made = ", ".join(providers)
            raise ModelError("devices", f"'{name}' is not what the bundle was made for", f"It was made for: {made}")
        if PROVIDERS[kind] not in there:
            raise ModelError("devices", f"'{name}' needs the provider {PROVIDERS[kind]}", f"This machine has: {', '.join(there)}")
        if kind != "cpu":
            found.append(Device(PROVIDERS[kind], {"device_id": int(index or 0)}))
            continue
        if index and int(index) not in cores:
            raise ModelError("devices", f"there is no core {index} for this process", f"It may use: {', '.join(map(str, cores))}")
        found.append(Device(PROVIDERS[kind], {}, int(index) if index else next(free, None)))
    return found


def gpus() -> int:
    """How many of NVIDIA's GPUs this process may use, by its driver: ONNX Runtime does not say it."""
    try:
        driver = ctypes.CDLL("libcuda.so.1" if sys.platform == "linux" else "nvcuda.dll")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


class Sessions:
    """Several engines as one. A thread that `spread` works in has an engine of its own, and a core; any other calls the first."""

    def __init__(self, engines: Sequence[Engine], devices: Sequence[Device]) -> None:
        self.engines, self.devices = engines, devices
        self._mine = threading.local()
        self._number = itertools.count()
        self._pool = ThreadPoolExecutor(len(engines), "session", self._begin)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        engine: Engine = self._mine.__dict__.get("engine", self.engines[0])
        return engine(batch)

    def stream(self, batch: Mapping[str, np.ndarray]) -> Iterator[str]:
        """The pieces of a text from the first engine, where the engines write."""
        writer: Any = self.engines[0]
        yield from writer.stream(batch)

    def spread(self, work: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        """What `work` makes of each batch, in their order, each in the thread that is free next."""
        return self._pool.map(work, batches)

    def _begin(self) -> None:
        number = next(self._number)
        self._mine.engine = self.engines[number]
        if sys.platform == "linux" and (core := self.devices[number].core) is not None:
            os.sched_setaffinity(0, {core})  # of this thread alone
