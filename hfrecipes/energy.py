"""Energy: what a training took, by the counters of the machine that it ran on, over all tries at it.

Each process of a try keeps a record in a folder, and writes it anew every few seconds, so that a try that was killed counts, too.
Counters are those of Linux for the processor (RAPL: its packages and their memory, with all that runs on them), and NVML's for
GPUs. Where there is none, nothing is estimated.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections import Counter as Sums
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfrecipes import distributed
from hfrecipes.folder import read_json, write_json

FILE = "energy.json"
POWERCAP = Path("/sys/class/powercap")
EVERY = 10.0
"""Seconds between two readings: a counter must not go around twice in them, which takes a minute at least."""
NONE, UNREADABLE = "no counter here", "its counter may not be read here"
EXTRA = "no counter here without pip install 'hfrecipes[energy]'"
JOULES_A_KWH = 3.6e6


@dataclass(frozen=True)
class Counter:
    """A counter of energy: `read` gives joules, from zero again after `around` of them. Raises OSError where it cannot."""

    name: str
    read: Callable[[], float]
    around: float = math.inf


def processor(root: Path | None = None) -> tuple[list[Counter], str]:
    """The counters of the packages and their memory, below the folder of Linux's power zones; where there are none, why."""
    found, why = [], NONE
    for zone in sorted((root or POWERCAP).glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text("utf-8").strip()
            if not name.startswith("package") and name != "dram":  # the other zones are inside of a package, or around all
                continue
            around = int((zone / "max_energy_range_uj").read_text("utf-8")) / 1e6
            counter = Counter(f"dram-{zone.name.split(':')[1]}" if name == "dram" else name, _joules(zone / "energy_uj"), around)
            counter.read()
        except (OSError, ValueError):
            why = UNREADABLE
            continue
        found.append(counter)
    return found, "" if found else why


def _joules(file: Path) -> Callable[[], float]:
    return lambda: int(file.read_text("utf-8")) / 1e6


def gpus(uuids: Sequence[str]) -> tuple[list[Counter], str]:
    """The counters of GPUs, by NVML; where there are none, why."""
    try:
        import pynvml as nvml
    except ImportError:
        return [], EXTRA
    found = []
    try:
        nvml.nvmlInit()
        for place, uuid in enumerate(uuids):  # which stays on the machine
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            found.append(Counter(f"GPU-{place}", _millijoules(nvml, handle)))
            found[-1].read()
    except (nvml.NVMLError, OSError):
        return [], NONE
    return found, ""


def _millijoules(nvml: Any, handle: Any) -> Callable[[], float]:
    def read() -> float:
        try:
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except nvml.NVMLError as error:
            raise OSError(str(error)) from error

    return read


class Meter:
    """What counters counted since it was made; `lacking` says of what there is none, and why."""

    def __init__(self, counters: Sequence[Counter], lacking: Mapping[str, str], on: str) -> None:
        self.counters, self.lacking, self.on = list(counters), dict(lacking), on
        self.rank, self.started = distributed.rank(), time.monotonic()
        self.last = {counter.name: counter.read() for counter in counters}
        self.joules = dict.fromkeys(self.last, 0.0)

    def record(self) -> dict[str, Any]:
        """The energy and the time until now. What a counter gave that can no longer be read is left out."""
        for counter in list(self.counters):
            try:
                now = counter.read()
            except (OSError, ValueError):
                self.counters.remove(counter)
                del self.joules[counter.name]
                self.lacking[counter.name] = "its counter could not be read to the end"
                continue
            since = now - self.last[counter.name]
            self.joules[counter.name] += since if since >= 0 else since + counter.around
            self.last[counter.name] = now
        seconds = time.monotonic() - self.started
        return {"rank": self.rank, "on": self.on, "seconds": seconds, "joules": self.joules, "lacking": self.lacking}


@contextlib.contextmanager
def metered(folder: Path, meter: Meter, every: float = EVERY) -> Iterator[None]:
    """Keep a record of a block in a folder, in a file of its own."""
    file, over = folder / f"{meter.rank}-{time.time_ns()}.json", threading.Event()

    def keep() -> None:
        folder.mkdir(parents=True, exist_ok=True)  # it goes with the checkpoints of another training
        write_json(file, meter.record())

    def follow() -> None:
        while not over.wait(every):
            with contextlib.suppress(OSError):  # a full disk is told by the last record
                keep()

    keep()
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        keep()


def meter_for(device: Any, count: int, hardware: str) -> Meter:
    """The meter of this process, which trains on a torch device, or on `count` GPUs where there are several. The processor is
    counted by one process of a machine."""
    counters: list[Counter] = []
    lacking: dict[str, str] = {}
    if os.environ.get("LOCAL_RANK", "0") == "0":
        counters, lacking["processor"] = processor()
    if device.type == "cuda":
        import torch

        devices = range(count) if count > 1 else [device]
        found, lacking["GPU"] = gpus([f"GPU-{torch.cuda.get_device_properties(each).uuid}" for each in devices])
        counters, hardware = [*counters, *found], f"{torch.cuda.get_device_name(device)}, {hardware}"
    return Meter(counters, {what: why for what, why in lacking.items() if why}, hardware)


def spent(folder: Path) -> dict[str, Any]:
    """The sum of all records in a folder: joules by counter, seconds of the first process, and of what energy is missing."""
    records = [read_json(file) for file in sorted(folder.glob("*.json"))]
    joules: Sums[str] = Sums()
    for record in records:
        joules.update(record["joules"])
    first = [record for record in records if record["rank"] == 0]
    return {
        "joules": dict(joules),
        "lacking": {what: why for record in records for what, why in record["lacking"].items()},
        "seconds": sum(record["seconds"] for record in first),
        "tries": len(first),
        "hardware": sorted({record["on"] for record in records}),
    }


def kwh(found: Mapping[str, Any]) -> float | None:
    """The energy that was measured; None where none was."""
    return sum(found["joules"].values()) / JOULES_A_KWH if found["joules"] else None


def in_words(found: Mapping[str, Any]) -> str:
    """The energy with its counters, and of what it was not measured."""
    used, told = kwh(found), []
    if used is not None:
        told.append(f"{f'{used:.2f} kWh' if used >= 1 else f'{used * 1e3:.2f} Wh'} by {', '.join(found['joules'])}")
    if found["lacking"]:
        told.append("not measured: " + ", ".join(f"{why} ({what})" for what, why in found["lacking"].items()))
    return "; ".join(told)
