"""Faults: clients that send too much, too slowly or not to the end, and a bundle that disappears."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.registry import Registry
from hfrecipes.serving import watching
from tests.serving.asking import JSON, asked, client, figure, process, until

HEAD = b"POST /predict HTTP/1.1\r\nhost: service\r\nauthorization: Bearer secret\r\ncontent-type: application/json\r\n"
BODY = b'{"inputs": "the film was good"}'


def test_a_million_characters_and_ten_thousand_items_are_refused_and_the_next_is_answered(finished: Path) -> None:
    given = ["a" * 1_000_000, ["a"] * 10_000, {"text": "a" * 1_000_000}, ["a", "b" * 5_000_000]]

    async def main() -> list[Any]:
        async with client(finished) as service:
            return [await asked(service, each) for each in [*given, "the film was good"]]

    replies = asyncio.run(main())
    assert [reply.status_code for reply in replies] == [422, 422, 422, 413, 200]
    assert [reply.json().get("error") for reply in replies[:3]] == [
        "inputs: has 1000000 characters. Send at most 20000.",
        "inputs: has 10000 items. Send at most 128 at once.",
        "inputs: has 1000000 characters. Send at most 20000.",
    ]


def opened(address: str, sent: bytes) -> socket.socket:
    """A connection on which something was sent."""
    host, port = address.removeprefix("http://").split(":")
    found = socket.create_connection((host, int(port)), timeout=20)
    found.sendall(sent)
    return found


def test_slow_clients_are_given_up_those_that_leave_are_forgotten_and_neither_is_in_the_way(finished: Path) -> None:
    import httpx

    length = f"content-length: {len(BODY)}\r\n\r\n".encode()
    with process(finished, "--timeout", "1", "--in-flight", "8", "--items", "8", "--wait-ms", "200") as (started, address):
        silent = [opened(address, HEAD + length + BODY[:9]) for _ in range(20)]
        half = [opened(address, HEAD[:40]) for _ in range(20)]
        for sent in (HEAD + length + BODY[:9], HEAD + length + BODY, HEAD[:40], b"\x16\x03\x01 no HTTP at all\r\n\r\n"):
            for _ in range(20):
                opened(address, sent).close()
        headers = {**JSON, "authorization": "Bearer secret"}
        with httpx.Client(base_url=address, headers=headers, timeout=20) as service:
            ends = time.monotonic() + 20
            while (reply := service.post("/predict", content=BODY)).status_code == 503 and time.monotonic() < ends:
                time.sleep(0.05)
            assert reply.status_code == 200
            told = [b"".join(iter(lambda each=each: each.recv(4096), b"")) for each in silent]
            while "hfrecipes_rows_in_flight 0.0" not in (figures := service.get("/metrics").text) and time.monotonic() < ends:
                time.sleep(0.05)
        assert all(each.startswith(b"HTTP/1.1 408 ") and b"did not come within 1 s" in each for each in told)
        assert "hfrecipes_rows_in_flight 0.0" in figures and "hfrecipes_rows_waiting 0.0" in figures
        assert 'hfrecipes_requests_total{path="/predict",status="500"}' not in figures
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == 0
        assert started.stdout is not None and "Traceback" not in started.stdout.read()
        for each in (*silent, *half):
            each.close()


def test_a_bundle_and_a_registry_that_disappear_are_answered_from_and_told(
    shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "EVERY", 0.02)
    registry = Registry(shutil.copytree(shown.parent / "registry", tmp_path / "registry"))
    registry.promote("v1")
    pointer = registry.path / watching.FILE

    async def main() -> list[Any]:
        async with client(registry.path) as service:

            async def troubled(wanted: float) -> bool:
                return await figure(service, "hfrecipes_swap_problem") == wanted

            before = (await asked(service, "the film was good")).json()
            shutil.rmtree(registry.folder("v1"))
            without = (await asked(service, "the film was good")).json()
            kept = pointer.read_bytes()
            pointer.unlink()
            await until(lambda: troubled(1))
            told, lost = (await service.get("/readyz")).json(), (await asked(service, "the film was good")).json()
            pointer.write_bytes(kept)
            await until(lambda: troubled(0))
            return [before, without, lost, told]

    before, without, lost, told = asyncio.run(main())
    assert before["answers"] == without["answers"] == lost["answers"] and lost["release"] == "v1"
    assert told["ready"] and told["release"] == "v1"
    assert told["problem"] == f"{registry.path}: is not a registry. Give a folder that releases were added to."
