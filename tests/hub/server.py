"""A Hub on the loopback, for the real client: the calls that it makes, with faults in any of them, and a log of all requests."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.hub import collecting
from tests.hub.calls import CALLS, Answer, Asked, as_json
from tests.hub.faults import DROPPED, LOST, SLOW, TRUNCATED, Fault, Faults
from tests.hub.state import Account, Refused, Repo, State

WRITE = "hf_" + "w" * 34
READ = "hf_" + "r" * 34
OTHER = "hf_" + "o" * 34
ACCOUNTS = {WRITE: Account("me", "write"), READ: Account("me", "read"), OTHER: Account("other", "write")}


@dataclass(frozen=True)
class Request:
    """A request as it came, and the status of its answer: 0 where the connection was closed instead."""

    call: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int


@dataclass
class Hub:
    """A Hub that listens at `url`. Files are stored at another host, `storage`, as on the real one."""

    state: State
    url: str
    storage: str
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)
    turn: threading.RLock = field(default_factory=threading.RLock)

    def fail(self, call: str, kind: int | str, times: int = 1, retry_after: int | None = None, seconds: float = 0.0) -> None:
        """Make the next calls of a name meet a fault."""
        self.faults.add(call, Fault(kind, times, retry_after, seconds))

    def repo(self, name: str = "me/intents", kind: str = "model") -> Repo:
        """A repository, whoever may read it."""
        return self.state.repos[kind, name]

    def calls(self, name: str) -> list[Request]:
        """The requests of a call, in the order they came."""
        return [request for request in self.requests if request.call == name]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[str, Fault | None, Answer]:
        """The name of the call that a request is, the fault that it meets, and the answer."""
        parts = urlsplit(target)
        wanted = "GET" if method == "HEAD" else method
        for name, (way, pattern, call) in {**CALLS, **collecting.CALLS}.items():
            found = re.fullmatch(pattern, parts.path) if way == wanted else None
            if found is not None:
                path = {key: value for key, value in found.groupdict().items() if value is not None}
                fault = self.faults.take(name)
                if fault is not None and isinstance(fault.kind, int):
                    return name, fault, _refusal(Refused(fault.kind, "fault"), self.url, fault.retry_after)
                if fault is not None and fault.kind == DROPPED:
                    return name, fault, Answer()
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                with self.turn:
                    try:
                        account = (
                            None if name.startswith(("lfs-put", "lfs-get")) else self.state.account(headers.get("authorization"))
                        )
                        kind, repo = path.get("type", "model"), path.get("repo", "")
                        return (
                            name,
                            fault,
                            call(self.state, Asked(account, self.url, self.storage, kind, repo, path, query, body)),
                        )
                    except Refused as refused:
                        return name, fault, _refusal(refused, self.url)
        return "unknown", None, _refusal(Refused(404, f"no such call: {method} {parts.path}"), self.url)


def _refusal(refused: Refused, url: str, retry_after: int | None = None) -> Answer:
    said: dict[str, Any] = {"error": refused.message, **({"url": url + refused.url} if refused.url else {})}
    headers = {"X-Error-Message": refused.message, **({"X-Error-Code": refused.code} if refused.code else {})}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Answer(as_json(said).body, refused.status, {"Content-Type": "application/json", **headers})


class Handler(BaseHTTPRequestHandler):
    """One connection to a Hub."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    hub: Hub

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def respond(self) -> None:
        """Answer one request, and log it."""
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        call, fault, answer = self.hub.answer(self.command, self.path, headers, body)
        gone = fault is not None and fault.kind in (DROPPED, LOST)
        request = Request(call, self.command, self.path, headers, body, 0 if gone else answer.status)
        self.hub.requests.append(request)
        if gone:
            self._hang_up()
            return
        if fault is not None and fault.kind == SLOW:
            time.sleep(fault.seconds)
        self._send(answer, whole=fault is None or fault.kind != TRUNCATED)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: requests are in the log of the Hub."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, answer: Answer, whole: bool) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body if whole else answer.body[: len(answer.body) // 2])
        if not whole:
            self.wfile.flush()
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    """Listens on a free port of the loopback; no thread outlives the tests."""

    daemon_threads = True
    block_on_close = False


def serve(cas: Path) -> tuple[Server, Hub]:
    """A Hub in a thread of its own. End it with `shutdown` and `server_close`."""
    handler = type("Bound", (Handler,), {})
    server = Server(("127.0.0.1", 0), handler)
    port = server.server_address[1]
    hub = Hub(State(cas, dict(ACCOUNTS)), f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    handler.hub = hub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True).start()
    return server, hub


def said(request: Request) -> Any:
    """The JSON that a request sent."""
    return json.loads(request.body)


def environment(hub: Hub, home: Path) -> dict[str, str]:
    """That of a process of its own which may write to a Hub, without Xet, and keeps its cache in `home`."""
    given = {"HF_ENDPOINT": hub.url, "HF_TOKEN": WRITE, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    return {**os.environ, **given}
