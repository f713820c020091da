"""Devices: which there are, and that answers of several sessions are those of one."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfrecipes import Predictor
from hfrecipes.errors import ModelError, UserError
from hfrecipes.inference.devices import Device, Sessions, devices_of, gpus
from hfrecipes.inference.engines import onnx_engine, starts
from hfrecipes.targets.cpu import Cpu
from hfrecipes.targets.cuda import Cuda
from tests.conftest import sentiment

CPU = ["CPUExecutionProvider"]
TEXTS = [row["text"] for row in sentiment(200, start=500)]
ALLOWED = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))


@pytest.mark.parametrize("devices", [["cpu"], ["cpu", "cpu"], ["cpu"] * 3, "auto", "cpu"])
def test_several_sessions_answer_as_one_in_the_order_of_the_texts(devices: Sequence[str] | str, finished: Path) -> None:
    one, several = Predictor.open(finished, threads=1), Predictor.open(finished, devices=devices)
    assert several(TEXTS) == one(TEXTS)
    assert list(several(iter(TEXTS))) == one(TEXTS)
    assert several(TEXTS[0]) == one(TEXTS[0])
    assert several([]) == []


def test_every_device_works_in_a_thread_of_its_own_on_its_core() -> None:
    seen: list[tuple[int, str, set[int]]] = []

    def engine(number: int) -> Any:
        def run(batch: Any) -> dict[str, np.ndarray]:
            cores = os.sched_getaffinity(0) if sys.platform == "linux" else set()
            seen.append((number, threading.current_thread().name, cores))
            time.sleep(0.02)
            return {"logits": batch["x"]}

        return run

    core = ALLOWED[-1]
    sessions = Sessions([engine(0), engine(1)], [Device(CPU[0], {}, core), Device(CPU[0], {})])
    batches = [{"x": np.array([i])} for i in range(12)]
    assert [int(found["logits"][0]) for found in sessions.spread(sessions, iter(batches))] == list(range(12))
    by_engine = {number: {name for each, name, _ in seen if each == number} for number in (0, 1)}
    assert all(len(names) == 1 for names in by_engine.values()) and by_engine[0] != by_engine[1]
    if sys.platform == "linux":
        assert all(cores == {core} for number, _, cores in seen if number == 0)
        assert os.sched_getaffinity(0) == set(ALLOWED), "the calling thread stays free"


def test_auto_is_a_session_for_every_core() -> None:
    assert [device.core for device in devices_of("auto", CPU)] == ALLOWED
    assert devices_of(["cpu"] * (len(ALLOWED) + 1), CPU)[-1].core is None
    assert devices_of([f"cpu:{ALLOWED[-1]}"], CPU) == [Device(CPU[0], {}, ALLOWED[-1])]


class Driver:
    """As much of NVIDIA's driver as is asked: two GPUs, or an error."""

    def __init__(self, error: int) -> None:
        self.error = error

    def cuInit(self, flags: int) -> int:
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = 2
        return self.error


@pytest.mark.parametrize(("error", "numbers"), [(0, [0, 1]), (100, [0])])
def test_auto_is_a_session_for_every_gpu(error: int, numbers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    made = ["CUDAExecutionProvider", *CPU]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: made)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver(error))
    assert devices_of("auto", made) == [Device(made[0], {"device_id": number}) for number in numbers]


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert gpus() == 0


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (["gpu"], "devices: 'gpu' is no device. One of: cpu, cuda"),
        (["cpu:one"], "'cpu:one' is no device"),
        ([], "devices: is empty"),
        (["cpu:4096"], "devices: there is no core 4096 for this process. It may use: "),
        (["cuda:0"], "devices: 'cuda:0' is not what the bundle was made for. It was made for: CPUExecutionProvider"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(devices: list[str], said: str, finished: Path) -> None:
    with pytest.raises(UserError) as refused:
        Predictor.open(finished, devices=devices)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_provider_that_this_machine_lacks_is_named_with_those_it_has() -> None:
    import onnxruntime

    missing = next(
        name
        for name in ("TensorrtExecutionProvider", "DmlExecutionProvider")
        if name not in onnxruntime.get_available_providers()
    )
    kind = {"TensorrtExecutionProvider": "tensorrt", "DmlExecutionProvider": "dml"}[missing]
    with pytest.raises(UserError, match=rf"'{kind}' needs the provider {missing}\. This machine has: .*CPUExecutionProvider"):
        devices_of([kind], [missing])


@pytest.fixture
def without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """ONNX Runtime for GPUs on a machine without one: it lists the provider, and opens sessions on the CPU instead."""
    import onnxruntime

    class Falls(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, graph: Any, options: Any, providers: Any) -> None:
            super().__init__(graph, options, providers=CPU)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Falls)
    starts.cache_clear()
    yield
    starts.cache_clear()


@pytest.mark.usefixtures("without_a_gpu")
def test_a_provider_whose_device_is_not_there_is_lacking(capfd: pytest.CaptureFixture[str]) -> None:
    assert Cuda().lacking() == "a device or libraries for the provider CUDAExecutionProvider"
    assert Cpu().lacking() is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("without_a_gpu")
def test_a_graph_is_not_run_on_the_cpu_where_a_gpu_was_asked_for(finished: Path) -> None:
    said = (
        r"CUDAExecutionProvider has no device 3, or not its libraries\. Give one .* pip install 'onnxruntime-gpu\[cuda,cudnn\]'"
    )
    with pytest.raises(ModelError, match=said):
        onnx_engine(next(finished.rglob("*.onnx")), ["CUDAExecutionProvider"], 1, {"device_id": 3})


def test_a_checkpoint_has_no_devices(finished: Path) -> None:
    with pytest.raises(UserError, match="devices: a checkpoint runs where PyTorch puts it"):
        Predictor.open(finished, "pytorch", devices="auto")
