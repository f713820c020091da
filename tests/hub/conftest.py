"""A Hub for each test, and folders to publish to it.

`hub` is the server; `offered` makes a sealed folder; `sending` sets what a publisher has: the access token, Xet on or off.
Waits are not waited but noted, in `waits`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import set_client_factory
from huggingface_hub.utils import _http

from hfrecipes.folder import seal
from hfrecipes.hub_calls import Patience
from hfrecipes.publishing import Published, publish
from tests.hub.server import WRITE, Hub, serve

os.environ.setdefault("HF_XET_CLIENT_RETRY_BASE_DELAY", "5ms")
TLS = httpx2.create_ssl_context()
"""Made once: it takes longer than all calls of a test, and none needs it."""
CARD = "---\nlicense: mit\n---\n# Intents\n"


def release(folder: Path, said: str = "one") -> Path:
    """A sealed folder as one is published: a card, a config, weights, and a graph in a folder."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(CARD + said)
    (folder / "config.json").write_text("{}\n")
    (folder / "model.safetensors").write_bytes(b"\0weights" * 500 + said.encode())
    (folder / "onnx/model.onnx").write_bytes(b"\0graph" * 500)
    seal(folder, {"said": said})
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub with no repository."""
    server, found = serve(tmp_path / "cas")
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Sets the access token of the machine, None for none, and whether Xet is on."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    hooks = {"request": [_http.hf_request_event_hook]}
    huggingface_hub.utils.disable_progress_bars()
    set_client_factory(lambda: httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=None, verify=TLS))

    def set_up(token: str | None = WRITE, xet: bool = False) -> None:
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not xet)
        if token is None:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        else:
            monkeypatch.setenv("HF_TOKEN", token)

    set_up()
    yield set_up
    set_client_factory(_http.default_client_factory)


@pytest.fixture
def waits() -> list[float]:
    """The seconds of each wait of `patience`."""
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    """A minute, of which none is waited."""
    return Patience(wait=waits.append)


@pytest.fixture(scope="session")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A sealed folder, by what it says. Publish it, never change it."""
    root = tmp_path_factory.mktemp("offered")
    return lambda said="one": root / said if (root / said).exists() else release(root / said, said)


@pytest.fixture
def send(hub: Hub, sending: object, patience: Patience) -> Callable[..., Published]:
    """Publishes a folder to me/intents, or to another repository."""

    def sent(folder: Path, repo: str = "me/intents", pull_request: bool = False) -> Published:
        return publish(folder, repo, pull_request=pull_request, endpoint=hub.url, patience=patience)

    return sent
