"""Devices: which there are, and that answers of several sessions are those of one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfrecipes import Predictor
from hfrecipes.errors import UserError
from hfrecipes.inference.devices import Device, Sessions, devices_of
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


def test_a_checkpoint_has_no_devices(finished: Path) -> None:
    with pytest.raises(UserError, match="devices: a checkpoint runs where PyTorch puts it"):
        Predictor.open(finished, "pytorch", devices="auto")
