"""Asking: a service in this process, and one who asks it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from hfrecipes import Predictor
from hfrecipes.monitor import Monitor
from hfrecipes.serving.limits import Limits
from tests.conftest import BAD, GOOD, WORDS

Client = Any
JSON = {"content-type": "application/json"}


def exact(folder: Path) -> Predictor:
    """A predictor whose answers do not depend on the batch."""
    return Predictor.open(folder, "fp32", threads=1)


def texts(count: int) -> list[str]:
    """Texts that differ, of several lengths."""
    words = [*GOOD, *BAD, *WORDS]
    return [" ".join(words[(i * 5 + j * 3) % len(words)] for j in range(1 + i % 7)) for i in range(count)]


@dataclasses.dataclass
class Gate:
    """An engine that answers once it is let."""

    engine: Any
    opened: threading.Event = dataclasses.field(default_factory=threading.Event)
    begun: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        if not self.opened.is_set():
            self.begun.set()
            self.opened.wait(20)
        return self.engine(batch)


def gated(gates: list[Gate]) -> Callable[[Path], Predictor]:
    """Opens predictors with a gate, which is open for the first answer, and added to `gates`."""

    def opened(folder: Path) -> Predictor:
        found = exact(folder)
        gates.append(Gate(found.engine))
        gates[-1].opened.set()
        return dataclasses.replace(found, engine=gates[-1])

    return opened


@asynccontextmanager
async def client(
    where: Path,
    opener: Callable[[Path], Predictor] = exact,
    limits: Limits | None = None,
    key: str = "",
    monitor: Callable[[Path], Monitor] | None = None,
) -> AsyncIterator[Client]:
    """One who asks a service in this process."""
    import httpx

    from hfrecipes.serving.app import service

    door: Any = service(where, opener, limits or Limits(), key, monitor)
    async with (
        door.app.router.lifespan_context(door.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://service", timeout=30) as found,
    ):
        yield found


async def asked(client: Client, inputs: Any, **more: Any) -> Any:
    """The response of /predict."""
    return await client.post("/predict", content=json.dumps({"inputs": inputs, **more}), headers=JSON)


async def until(holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.01)


async def figure(client: Client, name: str) -> float:
    """The value of one figure of /metrics; 0 where it is not there yet."""
    lines = (await client.get("/metrics")).text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


@contextmanager
def process(where: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service in a process of its own, whose key is `secret`, and its address."""
    command = [sys.executable, "-m", "hfrecipes", "serve", str(where), "--port", "0", "--threads", "1", "--graph", "fp32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HFRECIPES_API_KEY": "secret"}
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as started:
        try:
            assert started.stdout is not None
            said = ""
            while " at http://" not in (line := started.stdout.readline()):
                said += line
                assert line, said
            yield started, line.split()[-1]
        finally:
            if started.poll() is None:
                started.kill()
