"""Fencing: one process at a time, and no harm from one that only thinks it is its turn.

Who begins takes a token, a number that is one more than the last. The system's lock keeps a second process out while the first
lives, and is free again when it dies. A process that another has taken over from all the same may still be at work, stopped or
slow: what it does under `guarded` happens only while its token is the newest one (Kleppmann 2016, "How to do distributed
locking").
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hfrecipes.errors import HfRecipesError, ModelError, RunError
from hfrecipes.folder import read_json, write_json
from hfrecipes.locking import locked, writing
from hfrecipes.pointer import sync

LOCK, TURN, TOKEN = "lock", "turn", "token.json"


class Superseded(HfRecipesError):
    """Another process has begun since: this one may change nothing any more."""


@dataclass(frozen=True)
class Taken:
    """A turn: its `token`, and whether it was taken `over` from a process that may still be at work."""

    token: int
    over: bool = False


class Fence:
    """The turns of the processes that share a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def taken(self, take_over: bool = False) -> Iterator[Taken]:
        """A turn with a new token, while no other process is at work. Raises RunError where one is and is not taken over from."""
        with ExitStack() as held:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                alone = held.enter_context(locked(self.folder / LOCK, wait=False)) or sys.platform == "win32"
            if not alone and not take_over:
                raise RunError(str(self.folder), f"{self._holder()} is at work", "Wait for it, or write --take-over")
            yield Taken(self._next(), not alone)

    @contextmanager
    def guarded(self, token: int) -> Iterator[None]:
        """Do something while `token` is the newest: nobody takes another one meanwhile. Raises Superseded where one was taken."""
        with locked(self.folder / TURN):
            if (newest := self.newest()) != token:
                raise Superseded(f"token {token} is no longer the newest: {self._holder()} has taken {newest}")
            yield

    def newest(self) -> int:
        """The token that was taken last; 0 before the first."""
        return int(self._last()["token"])

    def _next(self) -> int:
        with writing(self.folder), locked(self.folder / TURN):
            token = self.newest() + 1
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_json(
                self.folder / TOKEN, {"token": token, "process": os.getpid(), "machine": socket.gethostname(), "time": now}
            )
            sync(self.folder)
        return token

    def _last(self) -> dict[str, Any]:
        file = self.folder / TOKEN
        if not file.is_file():
            return {"token": 0, "process": "?", "machine": "?", "time": "?"}
        try:
            found: dict[str, Any] = read_json(file)
            int(found["token"])
        except (ValueError, KeyError, TypeError):
            raise ModelError(str(file), "is not one that a retraining wrote", "Restore it from a backup") from None
        return found

    def _holder(self) -> str:
        last = self._last()
        return f"process {last.get('process', '?')} on {last.get('machine', '?')} since {last.get('time', '?')}"
