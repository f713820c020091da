"""serve: requests per second with and without micro-batching, and what happens at ten times what the service can take.

The model is that of the area inference, with a session on each core: a batch is shared between them, while one text keeps one of
them busy. The service shares the cores with its clients, so a figure is that of both.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.area_inference import trained
from tests.benchmarks.goals import Goal
from tests.benchmarks.processes import QUIET, answer

ROUNDS = 3
SECONDS, LONG = 5, 60
CLIENTS = 256
ITEMS, IN_FLIGHT = 16, 256
"""Items of a request under overload, and rows that the service takes: so that clients in Python can ask ten times too much."""
FULL = IN_FLIGHT // ITEMS
OVER = 10
PLAIN = ["--batch-rows", "1", "--wait-ms", "0.001"]
"""Options with which each request is answered alone."""


def measure() -> list[Goal]:
    """Micro-batching over one by one, and overload."""
    with tempfile.TemporaryDirectory() as folder:
        run = trained(Path(folder))
        return [*batching(run), *overload(run)]


def batching(run: Path) -> list[Goal]:
    """Requests of one text per second, in turns with both services."""
    found: dict[str, list[float]] = {"batched": [], "alone": []}
    with service(run) as (batched, _), service(run, *PLAIN) as (alone, _):
        for _ in range(ROUNDS):
            for name, address in (("batched", batched), ("alone", alone)):
                found[name].append(load(address, name, CLIENTS, SECONDS)["answered"])
    ratio = statistics.median(a / b for a, b in zip(found["batched"], found["alone"], strict=True))
    took = [f"{statistics.median(found[name]):.0f}/s" for name in ("batched", "alone")]
    return [Goal(f"requests of one text by {CLIENTS} clients, batched over one by one", *took, ratio, 2.0)]


def overload(run: Path) -> list[Goal]:
    """As many clients as are accepted, then ten times as many."""
    with service(run, "--in-flight", str(IN_FLIGHT), "--items", str(ITEMS)) as (address, process):
        pairs = []
        for _ in range(ROUNDS):
            capacity = load(address, "capacity", FULL, SECONDS, ITEMS)
            pause = (OVER - 1) * FULL / (OVER * capacity["answered"])  # of those that wait, so many ask again in a second
            pairs.append((capacity, load(address, "overload", OVER * FULL, SECONDS, ITEMS, pause)))
        before = memory(process)
        last = load(address, "long overload", OVER * FULL, LONG, ITEMS, pause)
        grown = memory(process) - before
    ratio = statistics.median(b["p99"] / a["p99"] for a, b in pairs)
    kept = statistics.median(b["answered"] / a["answered"] for a, b in pairs)
    slowest = max(b["refused_p99"] for _, b in pairs)
    lost = sum(a["lost"] + b["lost"] for a, b in pairs) + last["lost"]
    took = [f"{statistics.median(pair[place]['p99'] for pair in pairs):.0f} ms" for place in (1, 0)]
    served = [f"{statistics.median(pair[place]['answered'] for pair in pairs):.0f}/s" for place in (1, 0)]
    asked = statistics.median((b["answered"] + b["refused"]) / a["answered"] for a, b in pairs)
    return [
        Goal(f"p99 of what is accepted, of {OVER * FULL} clients over {FULL}", *took, ratio, 2.0, at_least=False),
        Goal("requests that came then, over what is answered at capacity", f"{asked:.1f}x", "-", asked, OVER),
        Goal("requests answered then, over those at capacity", *served, kept, 0.7),
        Goal("p99 of a refusal (ms)", f"{slowest:.0f} ms", "-", slowest, 100, at_least=False),
        Goal("requests without an answer or a refusal", str(lost), "-", lost, 0, at_least=False),
        Goal(f"MB that {LONG} s of it add", f"{grown:.1f} MB", "-", grown, 10, at_least=False),
    ]


@contextmanager
def service(run: Path, *options: str) -> Iterator[tuple[str, int]]:
    """The address of a service of its own, and the number of its process."""
    command = [sys.executable, "-m", "hfrecipes", "serve", str(run), "--port", "0", "--devices", "auto", *options]
    environment = {**os.environ, **QUIET}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as started:
        assert started.stdout is not None
        said = re.search(r"http://(\S+)", started.stdout.readline())
        assert said is not None
        yield said[1], started.pid
        started.terminate()


def load(address: str, label: str, clients: int, seconds: int, items: int = 1, pause: float = 0.0) -> dict[str, Any]:
    """What clients were told."""
    asked = {"address": address, "clients": clients, "seconds": seconds, "items": items, "pause": pause}
    return answer(["-m", "tests.benchmarks.one_load", json.dumps(asked)], label)


def memory(process: int) -> float:
    """MB that a process holds."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return next(int(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmRSS"))
