"""The command `serve`: what it refuses before it listens."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.cli import main
from hfrecipes.errors import UserError


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main(["serve", *argv])
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_without_its_packages_it_says_how_to_install_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec

    def found(name: str, *more: Any) -> Any:
        return None if name == "prometheus_client" else there(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    line = refused(capsys, "runs/x")
    assert line == "error: serve: needs prometheus-client. Run: pip install 'hfrecipes[serve]'."


def test_nothing_to_serve_and_options_that_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert refused(capsys, str(tmp_path / "nothing")).startswith(f"error: {tmp_path / 'nothing'}: there is no such folder")
    assert refused(capsys, "runs/x", "--timeout", "0") == "error: --timeout: 0.0 is not above 0. Give a positive number."
    assert "would never be accepted" in refused(capsys, "runs/x", "--items", "300")
    assert "cannot be read" in refused(capsys, "runs/x", "--api-key-file", str(tmp_path / "key"))


def test_a_port_that_is_taken_and_a_host_that_is_elsewhere() -> None:
    from hfrecipes.serving.server import listening

    with listening("127.0.0.1", 0) as place:
        for host, port in (("127.0.0.1", place.getsockname()[1]), ("192.0.2.1", 0), ("no such host", 0)):
            with pytest.raises(UserError, match="--host, --port"):
                listening(host, port)
