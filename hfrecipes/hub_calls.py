"""Calls to the Hub that are tried once at a time, and how long to go on trying.

The client of the Hub tries some calls again by itself, for minutes, and others never; and it waits for an answer without end. So
while `one_try` runs it tries each call once, and one without an answer raises NoAnswer, for `Patience` to wait and try again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils import _http

AGAIN = (408, 429, 500, 502, 503, 504)
LONGEST = 8.0


class NoAnswer(Exception):
    """A call that was not answered, or by an error that goes away: it may have been done. `after` is when to try again, in
    seconds, where the Hub says so."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


class Moved(NoAnswer):
    """A call that was refused since what it builds on, or makes, is not as it was: a branch has another commit, or is there."""


@dataclass
class Patience:
    """What all waiting for the Hub may take in `total`, and one answer at most; both in seconds. `wait` is how to wait."""

    total: float = 60.0
    answer: float = 60.0
    wait: Callable[[float], None] = time.sleep
    left: float = field(init=False)
    tries: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.left = self.total

    def pause(self, error: NoAnswer) -> None:
        """Wait before a call is tried again: as long as the Hub says, else 1, 2, 4 and then 8 seconds. Raises `error` where that
        is longer than there is left."""
        seconds = error.after if error.after is not None else min(2.0**self.tries, LONGEST)
        if seconds > self.left or self.left <= 0:
            raise error
        self.tries += 1
        self.left -= max(seconds, 0.1)
        self.wait(seconds)


class _OneTry(httpx2.BaseTransport):
    """Sends requests by another client, and raises NoAnswer for what that client's callers would try again."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = self.client.send(request, stream=True, follow_redirects=False)
        except httpx2.TransportError as error:
            raise NoAnswer(_words(error)) from error
        if response.status_code in AGAIN:
            response.close()
            raise NoAnswer(f"{response.status_code} {HTTPStatus(response.status_code).phrase}", _after(response))
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    def close(self) -> None:
        self.client.close()


class _Body(httpx2.SyncByteStream):
    """The body of an answer; raises NoAnswer where it ends early."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.response.iter_raw()
        except httpx2.TransportError as error:
            raise NoAnswer(_words(error)) from error

    def close(self) -> None:
        self.response.close()


_TURN = threading.Lock()
_INSIDE: list[Callable[[], httpx2.Client]] = []
"""The factory of clients that was there before, once for each block of `one_try` that runs."""


@contextlib.contextmanager
def one_try(seconds: float) -> Iterator[None]:
    """While a block runs, each call of this process to the Hub is tried once, and waits `seconds` for an answer at most.

    The client in use is closed on both ends, and a client factory of the user's own goes on to make it: a download by the Hub's
    client in another thread is cut off, so let there be none.
    """
    with _TURN:
        before = _INSIDE[0] if _INSIDE else _http._GLOBAL_CLIENT_FACTORY
        _INSIDE.append(before)
        if len(_INSIDE) == 1:
            timeout = httpx2.Timeout(seconds, connect=min(seconds, 10.0))
            set_client_factory(lambda: httpx2.Client(transport=_OneTry(before()), follow_redirects=True, timeout=timeout))
    try:
        yield
    finally:
        with _TURN:
            _INSIDE.pop()
            if not _INSIDE:
                set_client_factory(before)


def _after(response: httpx2.Response) -> float | None:
    """The seconds after which the Hub says to try again."""
    said = response.headers.get("Retry-After", "").strip()
    return float(said) if said.isdigit() else None


def _words(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "it took too long"
    return "there is no connection" if isinstance(error, httpx2.ConnectError) else "the connection was closed"
