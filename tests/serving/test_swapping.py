"""Swapping: the release in production answers, also when it changes while requests come; and a service that ends loses none."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Predictor
from hfrecipes.checkpoint import save_trained
from hfrecipes.folder import opened, seal
from hfrecipes.registry import Registry
from hfrecipes.tasks import Task
from tests.conftest import Open
from tests.serving.asking import JSON, asked, client, exact, figure, process, texts, until

GIVEN = texts(30)


@pytest.fixture
def registry(shown: Path, finished: Path, tmp_path: Path) -> Registry:
    """A registry with v1 in production, and v2 that answers otherwise."""
    found = Registry(shutil.copytree(shown.parent / "registry", tmp_path / "registry"))
    found.promote("v1")
    assert found.add(finished / "bundles/cpu").name == "v2"
    return found


def scores(registry: Registry, name: str, opener: Callable[[Path], Predictor] = exact) -> list[Any]:
    """What a release answers to the texts."""
    return [pytest.approx(dict(answer.scores), abs=1e-5) for answer in opener(registry.folder(name))(GIVEN)]


def test_a_release_that_is_promoted_or_rolled_back_to_answers_and_no_request_is_lost(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hfrecipes.serving import watching

    monkeypatch.setattr(watching, "EVERY", 0.02)

    async def main() -> tuple[list[Any], list[str]]:
        replies: list[Any] = []
        async with client(registry.path) as service:

            async def served(name: str) -> bool:
                replies.extend(await asyncio.gather(*(asked(service, text) for text in GIVEN)))
                return bool(replies[-1].json()["release"] == name)

            await until(lambda: served("v1"))
            await asyncio.to_thread(registry.promote, "v2")
            await until(lambda: served("v2"))
            await asyncio.to_thread(registry.rollback)
            await until(lambda: served("v1"))
            return replies, (await service.get("/metrics")).text.splitlines()

    replies, figures = asyncio.run(main())
    assert {reply.status_code for reply in replies} == {200}
    wanted = {name: scores(registry, name) for name in ("v1", "v2")}
    found = [reply.json() for reply in replies]
    order = [each["release"] for each in found]
    assert order[0] == "v1" and "v2" in order and order[-1] == "v1"
    for place, each in enumerate(found):
        assert each["answers"][0]["scores"] == wanted[each["release"]][place % len(GIVEN)]
    assert 'hfrecipes_swaps_total{outcome="swapped"} 2.0' in figures


def test_where_the_new_release_does_not_load_the_old_one_goes_on(
    registry: Registry, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from hfrecipes.serving import watching

    monkeypatch.setattr(watching, "EVERY", 0.02)
    broken = shutil.copytree(finished / "bundles/cpu", tmp_path / "broken")
    facts = {key: entry for key, entry in opened(broken).items() if key in ("target", "providers", "default", "graphs")}
    for graph in facts["graphs"].values():
        (broken / graph["file"]).write_bytes(b"no graph")
    seal(broken, facts)
    assert registry.add(broken).name == "v3"

    async def main() -> list[Any]:
        async with client(registry.path) as service:

            async def trouble() -> bool:
                return await figure(service, "hfrecipes_swap_problem") == 1

            async def none() -> bool:
                return not await trouble()

            registry.promote("v3")
            await until(trouble)
            found = [(await service.get("/readyz")).json(), (await asked(service, "good")).json()]
            registry.rollback()
            await until(none)
            return [*found, (await service.get("/readyz")).json()]

    during, reply, after = asyncio.run(main())
    assert during["ready"] and during["release"] == "v1" and during["problem"]
    assert reply["release"] == "v1"
    assert after["release"] == "v1" and after["problem"] == ""
    assert any(record.getMessage().startswith("v1 goes on answering: ") for record in caplog.records)


def test_a_process_swaps_under_load_and_at_sigterm_finishes_what_it_accepted(registry: Registry) -> None:
    import httpx

    headers = {**JSON, "authorization": "Bearer secret"}
    body, large = (json.dumps({"inputs": GIVEN * times}) for times in (1, 4))

    async def main(started: subprocess.Popen[str], address: str) -> tuple[list[Any], list[Any]]:
        replies: list[Any] = []
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as service:

            async def asks(count: int) -> list[Any]:
                return await asyncio.gather(*(service.post("/predict", content=body) for _ in range(count)))

            async def served(name: str) -> bool:
                replies.extend(await asks(4))
                return bool(replies[-1].json()["release"] == name)

            await until(lambda: served("v1"))
            await asyncio.to_thread(registry.promote, "v2")
            await until(lambda: served("v2"))
            last: list[asyncio.Task[Any]] = []
            async with asyncio.timeout(20):
                done, flying = 0, 0.0
                while not flying or done + flying / len(GIVEN * 4) < len(last):  # until all of them were accepted
                    if all(each.done() for each in last):
                        replies.extend([await each for each in last])
                        last = [asyncio.create_task(service.post("/predict", content=large)) for _ in range(2)]
                    done = sum(each.done() for each in last)
                    flying = await figure(service, "hfrecipes_rows_in_flight")
            started.send_signal(signal.SIGTERM)
            return replies, await asyncio.gather(*last)

    with process(registry.path, "--batch-rows", "256", "--wait-ms", "500") as (started, address):
        replies, last = asyncio.run(main(started, address))
        assert started.wait(20) == 0
        assert started.stdout is not None
        assert "film" not in started.stdout.read()
    assert {reply.status_code for reply in [*replies, *last]} == {200}
    assert {reply.json()["release"] for reply in replies} == {"v1", "v2"}
    wanted = [answer.label for answer in exact(registry.folder("v2"))(GIVEN)]
    assert [answer["label"] for answer in last[0].json()["answers"]] == wanted * 4


def test_what_a_task_writes_comes_piece_by_piece(fresh: Open, tiny_gpt: Path, tmp_path: Path) -> None:
    task: Task = Task.choose({"text-generation": {"generation": {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False}}})
    save_trained(tmp_path, fresh("gpt", task.heads["decoder"]), tiny_gpt, task, task.heads["decoder"])

    async def main() -> tuple[Any, Any, list[Any]]:
        async with client(tmp_path, Predictor.open) as service:
            streamed = await service.post("/stream", content=b'{"inputs": "the film was"}', headers=JSON)
            bad = [await service.post("/stream", content=each, headers=JSON) for each in (b'{"inputs": ["a", "b"]}', b"{}")]
            return streamed, await asked(service, "the film was"), bad

    streamed, reply, bad = asyncio.run(main())
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *events, last = streamed.text.strip().split("\n\n")
    assert len(events) > 2 and last.startswith("event: end\n")
    pieces = [json.loads(event.removeprefix("data: "))["text"] for event in events]
    assert "".join(pieces).split() == reply.json()["answers"][0]["text"].split()
    assert [each.status_code for each in bad] == [422, 422]
