"""Monitoring: whether what is asked and answered is still like what the model was measured on; as figures, without the texts."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, Field

from hfrecipes.errors import ModelError, UserError
from hfrecipes.monitor import Drift, Finding, Monitor
from hfrecipes.serving.background import background

if TYPE_CHECKING:
    from hfrecipes.serving.served import Served

logger = logging.getLogger(__name__)
Opener = Callable[[Path], Monitor]

RECENT = 50
"""Windows that are told of."""
WAITING = 1024
"""Rows that wait to be looked at; more are passed over."""
AT_ONCE = 8
SHARE = 0.1
"""Of the time of one core: the rest is for answers."""
UNASKED = "it was started without one"


class Window(BaseModel):
    """A window of rows that was judged: its number from 1 on, and how far the farthest detector was, as a share of its limit."""

    window: int
    drifted: bool
    farthest: float


class Drifted(BaseModel):
    """Whether rows and answers are like those that the model was measured on."""

    words: list[str] = Field(description="What the last window says")
    drifted: bool
    last: Drift = Field(
        description="The last window: each detector with its limit; accuracy as expected, by labels, and held out"
    )
    recent: list[Window] = Field(description=f"The last {RECENT} windows")
    rows: int = Field(description="Rows that the monitor looked at")
    skipped: int = Field(description="Rows that it had no time for")
    windows: int
    alarms: int = Field(description="Windows with a detector beyond its limit")
    unmonitored: str = Field(description="Why there is no monitor; empty where there is one")
    release: str
    model: str


class Labels(BaseModel, extra="forbid", strict=True):
    """The `ids` of answers, and the true label of each."""

    ids: list[str]
    labels: list[str | int]


class Labelled(BaseModel):
    """How many of the labels were of answers that are still known, and the accuracy of the last labelled answers."""

    found: int
    accuracy: float | None


@dataclass
class Watch:
    """What the monitor of one release says: of the `last` window, of the `recent` ones, and how many of all raised `alarms`;
    `lack` says why there is none. `rows` were shown to it, and `skipped` were not."""

    monitor: Monitor | None = None
    lack: str = UNASKED
    rows: int = 0
    skipped: int = 0
    alarms: int = 0
    last: Drift = field(default_factory=lambda: Drift(0, 0))
    recent: deque[Drift] = field(default_factory=lambda: deque(maxlen=RECENT))
    names: itertools.count[int] = field(default_factory=itertools.count)
    mark: str = field(default_factory=lambda: secrets.token_hex(4))

    @classmethod
    def open(cls, folder: Path, opener: Opener | None) -> Watch:
        """That of what is in a folder; without a monitor where it has none of its own."""
        if opener is None:
            return cls()
        try:
            monitor = opener(folder)
        except ModelError as error:
            logger.warning("served without a monitor: %s", error)
            return cls(lack=str(error))
        return cls(monitor, "", last=monitor.check())

    def ids(self, count: int) -> list[str]:
        """Names of the next rows, which no other release or service gives."""
        return [f"{self.mark}-{number}" for number in itertools.islice(self.names, count)]

    def told(self, release: str, model: str) -> Drifted:
        """What there is to say of a release."""
        windows = [
            Window(window=each.window, drifted=each.drifted, farthest=max(found.ratio for found in each.findings))
            for each in self.recent
        ]
        return Drifted(
            words=self.words(),
            drifted=self.last.drifted,
            last=self.last,
            recent=windows,
            rows=self.rows,
            skipped=self.skipped,
            windows=self.last.window,
            alarms=self.alarms,
            unmonitored=self.lack,
            release=release,
            model=model,
        )

    def words(self) -> list[str]:
        """What the last window says."""
        if self.monitor is None:
            return [f"There is no monitor: {self.lack}"]
        if not self.last.window:
            return [f"{self.rows} of the {self.monitor.window} rows of the first window have come."]
        return [_words(each) for each in self.last.beyond] or ["The rows are like those that the model was measured on."]


class Answered(NamedTuple):
    """A row that was answered, and what it is called."""

    served: Served
    name: str
    item: Any
    answer: Any


class Observer:
    """Shows rows and answers to the monitor of their release: a few at a time, in a thread of its own, for a share of the time.
    What comes faster is passed over, and counted. Belongs to one event loop."""

    def __init__(self) -> None:
        self._queue: deque[Answered] = deque()
        self._came = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, "monitor")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks while the block runs."""
        try:
            async with background(self._run()):
                yield
        finally:
            self._worker.shutdown(wait=False, cancel_futures=True)

    def take(self, served: Served, ids: Sequence[str], items: Sequence[Any], answers: Sequence[Any]) -> None:
        """Rows that were answered."""
        if served.watch.monitor is None:
            return
        room = WAITING - len(self._queue)
        served.watch.skipped += max(0, len(ids) - room)
        for name, item, answer in itertools.islice(zip(ids, items, answers, strict=True), room):
            self._queue.append(Answered(served, name, item, answer))
        self._came.set()

    async def labels(self, watch: Watch, given: Labels) -> Labelled:
        """Take in true labels that came later, as `Monitor.observe_labels` does. Raises UserError without a monitor."""
        if (monitor := watch.monitor) is None:
            raise UserError("labels", f"there is no monitor: {watch.lack}", "Measure them with hfrecipes watch")

        def said() -> tuple[int, Drift]:
            return monitor.observe_labels(given.ids, given.labels), monitor.check()

        found, watch.last = await asyncio.get_running_loop().run_in_executor(self._worker, said)
        return Labelled(found=found, accuracy=watch.last.accuracy)

    async def _run(self) -> None:
        while True:
            await self._came.wait()
            await asyncio.sleep(await self._look() * (1 / SHARE - 1))

    async def _look(self) -> float:
        """Show the next rows to their monitor, and say for how many seconds it computed."""
        served = self._queue[0].served
        rows: list[Answered] = []
        while self._queue and self._queue[0].served is served and len(rows) < AT_ONCE:
            rows.append(self._queue.popleft())
        if not self._queue:
            self._came.clear()
        watch, monitor = served.watch, served.watch.monitor
        assert monitor is not None

        def seen() -> tuple[list[Drift], Drift, float]:
            started = time.thread_time()
            closed = monitor.observe([row.item for row in rows], [row.answer for row in rows], [row.name for row in rows])
            return closed, monitor.check(), time.thread_time() - started

        looked = asyncio.get_running_loop().run_in_executor(self._worker, seen)
        await asyncio.wait([looked])
        if error := looked.exception():
            watch.skipped += len(rows)
            logger.error("the monitor failed with a %s", type(error).__name__)
            return 0.0
        closed, watch.last, seconds = looked.result()
        watch.recent.extend(closed)
        watch.rows += len(rows)
        watch.alarms += sum(each.drifted for each in closed)
        return seconds


def _words(found: Finding) -> str:
    beyond = f"{found.detector} is {found.distance:.3g}, beyond its limit of {found.limit:.3g}, since window {found.since}"
    return f"{beyond}: {found.moved}" if found.moved else beyond
