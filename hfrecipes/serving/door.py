"""Door: who may come in, and when. Every request is counted; one that is refused here costs next to nothing."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hfrecipes.serving.batching import Batcher
from hfrecipes.serving.figures import Figures
from hfrecipes.serving.limits import Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ASKING = ("/predict", "/stream")
GUARDED = (*ASKING, "/labels", "/drift", "/metrics")
PATHS = (*GUARDED, "/", "/healthz", "/readyz", "/openapi.json")


class Door:
    """An ASGI application before another: with a `key`, only who shows it may ask; and while too many rows are in flight, nobody
    may."""

    def __init__(self, app: App, batcher: Batcher, figures: Figures, key: str = "") -> None:
        self.app, self.batcher, self.figures = app, batcher, figures
        self.wanted = f"Bearer {key}".encode() if key else b""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
            await self.app(scope, receive, noted)
        except Refusal as refusal:
            await refuse(refusal, noted)
        finally:
            self.figures.request(scope["path"] if scope["path"] in PATHS else "other", status, time.monotonic() - started)

    def _check(self, scope: Message) -> None:
        """Raises a Refusal for a request that may not come in."""
        if self.wanted and scope["path"] in GUARDED:
            shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not hmac.compare_digest(shown, self.wanted):
                raise Refusal.of(401, "authorization", "is not the key of this service", "Send: Authorization: Bearer KEY")
        if scope["path"] in ASKING and scope["method"] == "POST":
            self.batcher.refuse_if_full()


async def refuse(refusal: Refusal, send: Send) -> None:
    """Say a refusal in JSON."""
    body = json.dumps({"error": refusal.line}).encode()
    told = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
