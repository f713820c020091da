"""Watching: another release in place of the one that is served, as soon as a registry has it in production."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

from hfrecipes.errors import ModelError, UserError
from hfrecipes.pointer import FILE, Pointer
from hfrecipes.serving.background import background
from hfrecipes.serving.batching import Batcher
from hfrecipes.serving.figures import Figures
from hfrecipes.serving.served import Served

logger = logging.getLogger(__name__)
EVERY = 0.2
"""Seconds between two looks at what is in production."""


class Watcher:
    """Looks at the registry in a folder. A release that was promoted, or rolled back to, is `opened` beside the one that is
    served and asked for an answer; then it takes its place between two batches. `problem` says why it could not, and is empty
    otherwise."""

    def __init__(self, registry: Path, batcher: Batcher, opened: Callable[[], Served], figures: Figures) -> None:
        self.registry, self.batcher, self.opened, self.figures = registry, batcher, opened, figures
        self.problem = ""
        self._seen: tuple[int, ...] | None = ()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Looks while the block runs."""
        return background(self._run())

    async def _run(self) -> None:
        while True:
            if (stamp := self._stamp()) != self._seen:
                await self._look()
                self._seen = stamp
            await asyncio.sleep(EVERY)

    def _stamp(self) -> tuple[int, ...] | None:
        """What tells one writing of the pointer from the next."""
        with suppress(OSError):
            facts = (self.registry / FILE).stat()
            return facts.st_ino, facts.st_mtime_ns, facts.st_size
        return None

    async def _look(self) -> None:
        opened = asyncio.get_running_loop().run_in_executor(None, self._fresh)
        await asyncio.wait([opened])
        if error := opened.exception():
            self.problem = str(error) if isinstance(error, UserError) else f"it fails with a {type(error).__name__}"
            self.figures.swap("refused")
            logger.error("%s goes on answering: %s", self.batcher.served.release, self.problem)
            return
        self.problem = ""
        if (fresh := opened.result()) is not None:
            before, self.batcher.served = self.batcher.served, fresh
            self.figures.swap("swapped")
            logger.info("%s answers in place of %s", fresh.release, before.release)

    def _fresh(self) -> Served | None:
        """The release in production, opened; None where it is the one that is served."""
        pointer, served = Pointer.read(self.registry), self.batcher.served
        if pointer.release and (pointer.release, pointer.added[pointer.release]["fingerprint"]) == (
            served.release,
            served.sealed,
        ):
            return None
        fresh = self.opened()
        asked, asks = served.predictor.task.name, fresh.predictor.task.name
        if asked != asks:
            raise ModelError(
                str(self.registry), f"{fresh.release} does {asks}, and {asked} is served", "Start another service for it"
            )
        return fresh
