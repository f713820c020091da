"""Batching: questions of many requests to one batch of the model, and to each request the answers to its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from hfrecipes.errors import UserError
from hfrecipes.serving.background import background
from hfrecipes.serving.figures import Figures
from hfrecipes.serving.limits import Limits, Refusal
from hfrecipes.serving.monitoring import Observer
from hfrecipes.serving.served import Question, Said, Served

logger = logging.getLogger(__name__)
T = TypeVar("T")
STREAMS = 4
"""Texts that are written at once, piece by piece."""


@dataclass(frozen=True)
class Waiting:
    """A question, when it came (seconds of a clock that never goes back), and where its reply goes."""

    question: Question
    since: float
    said: asyncio.Future[Said]


class Batcher:
    """Answers the questions that it accepts, with the release in `served`; which may be changed at any time: a question is
    answered by the release that it was read for. `rows` are in flight, of which `waiting` are not in a batch yet. Belongs to one
    event loop."""

    def __init__(self, served: Served, limits: Limits, figures: Figures, observer: Observer) -> None:
        self.served, self.limits, self.figures, self.observer = served, limits, figures, observer
        self.rows = self.waiting = 0
        self._queue: deque[Waiting] = deque()
        self._came, self._enough = asyncio.Event(), asyncio.Event()
        self._worker = ThreadPoolExecutor(1, "answers")
        self._writers = ThreadPoolExecutor(STREAMS, "streams")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers while the block runs."""
        try:
            async with background(self._run()):
                yield
        finally:
            for pool in (self._worker, self._writers):
                pool.shutdown(wait=False, cancel_futures=True)

    def refuse_if_full(self, rows: int = 1) -> None:
        """Raises a Refusal where so many rows are too many for now."""
        if self.rows + rows > self.limits.in_flight:
            what = f"{self.rows} of {self.limits.in_flight} rows are in flight"
            raise Refusal(503, str(UserError("service", what, "Ask again in a second")), again=1)

    async def answer(self, question: Question) -> bytes:
        """The reply to a question in JSON. Raises a Refusal where it cannot be had, or not in time."""
        self.refuse_if_full(len(question.items))
        waiting = Waiting(question, time.monotonic(), asyncio.get_running_loop().create_future())
        self.rows += len(question.items)
        self._queue.append(waiting)
        self._came.set()
        self.waiting += len(question.items)
        if self.waiting >= self.limits.batch_rows:
            self._enough.set()
        said = await self._in_time(waiting.said)
        self.figures.sure(said.confidences)
        return said.body

    async def stream(self, question: Question) -> AsyncIterator[str]:
        """The answer to the one item of a question, piece by piece. Raises a Refusal as `answer` does."""
        self.refuse_if_full()
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def write() -> None:
            for piece in question.served.pieces(question.items[0]):
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def end(_: asyncio.Future[None]) -> None:
            self.rows -= 1
            pieces.put_nowait(None)

        self.rows += 1
        written = loop.run_in_executor(self._writers, write)
        written.add_done_callback(end)
        whole = ""
        while (piece := await self._in_time(pieces.get())) is not None:
            whole += piece
            yield piece
        if error := written.exception():
            raise _refusal(error)
        served = question.served
        self.observer.take(served, served.watch.ids(1), question.items, [served.predictor.task.answers(whole)])

    async def _in_time(self, awaited: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(awaited, self.limits.timeout)
        except TimeoutError:
            what = f"there was no answer within {self.limits.timeout:g} s"
            raise Refusal.of(504, "service", what, "Ask again, or for less at once") from None

    async def _run(self) -> None:
        while True:
            await self._came.wait()
            if batch := await self._batch():
                rows = sum(len(each.question.items) for each in batch)
                self.figures.batch(rows)
                await self._settle(batch)
                self.rows -= rows

    async def _batch(self) -> list[Waiting]:
        """The next questions that are answered together: those of one release, up to a budget; empty where all were given up."""
        left = self._queue[0].since + self.limits.wait_ms / 1000 - time.monotonic()
        if left > 0 and self.waiting < self.limits.batch_rows:
            self._enough.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), left)
        batch: list[Waiting] = []
        rows = characters = 0
        while self._queue:
            question = self._queue[0].question
            rows, characters = rows + len(question.items), characters + question.characters
            full = rows > self.limits.batch_rows or characters > self.limits.batch_characters
            if batch and (full or question.served is not batch[0].question.served):
                break
            first = self._queue.popleft()
            self.waiting -= len(question.items)
            if first.said.done():
                self.rows -= len(question.items)
            else:
                batch.append(first)
        if not self._queue:
            self._came.clear()
        return batch

    async def _settle(self, batch: Sequence[Waiting]) -> None:
        """Give each question its reply; where a batch fails, each is asked alone, so that none fails for another."""
        questions = [each.question for each in batch]
        asked = asyncio.get_running_loop().run_in_executor(self._worker, questions[0].served.replies, questions)
        await asyncio.wait([asked])
        error = asked.exception()
        if error is not None and len(batch) > 1:
            for each in batch:
                await self._settle([each])
        elif error is not None:
            if not batch[0].said.done():
                batch[0].said.set_exception(_refusal(error))
        else:
            for each, said in zip(batch, asked.result(), strict=True):
                if not each.said.done():
                    each.said.set_result(said)
                self.observer.take(each.question.served, said.ids, each.question.items, said.answers)


def _refusal(error: BaseException) -> Refusal:
    """What to say of an error: a user's mistake in its own words; of any other the kind alone, which is logged."""
    if isinstance(error, UserError):
        return Refusal(422, str(error))
    logger.error("the model failed with a %s", type(error).__name__)
    return Refusal.of(500, "service", f"the model failed with a {type(error).__name__}", "Tell who runs it")
