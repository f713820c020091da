"""Server: listens, and at SIGTERM or SIGINT accepts nothing more, finishes what it accepted, and ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from hfrecipes.errors import UserError
from hfrecipes.serving.door import Door

PENDING = 2048
"""Connections that the system holds until they are accepted."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; a port of 0 is one that is free. Raises UserError where it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=PENDING)
    except (OSError, OverflowError) as error:
        raise UserError(
            "--host, --port", f"{host} port {port}: {error}", "Give an address of this machine and a free port"
        ) from None


def serve(door: Door, place: socket.socket, grace: float) -> None:
    """Serve until a signal; what was accepted has `grace` seconds to end."""
    config = uvicorn.Config(
        door,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=max(1, round(grace)),
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:  # uvloop's, where it is there
        runner.run(_Server(config).serve([place]))


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the service well: uvicorn would die of them once all is done."""
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
