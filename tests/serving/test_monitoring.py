"""Monitoring: what is served is held against what the model was measured on, beside the answers and not in their way."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.folder import opened, read_json, seal, write_json
from hfrecipes.monitor import Drift, Monitor
from hfrecipes.registry import Registry
from hfrecipes.serving import monitoring, watching
from tests.conftest import reviews
from tests.serving.asking import JSON, Client, asked, client, figure, until

WINDOW = 100
Rows = list[dict[str, str]]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor may take all the time it wants."""
    monkeypatch.setattr(monitoring, "SHARE", 1.0)
    monkeypatch.setattr(watching, "EVERY", 0.02)


def watched(folder: Path) -> Monitor:
    """The monitor of what is in a folder."""
    return Monitor.from_pretrained(folder, WINDOW)


async def shown_to(service: Client, texts: Sequence[str]) -> list[str]:
    """Ask for texts, and wait until the monitor has looked at them; gives the names of the answers."""
    before = (await service.get("/drift")).json()["rows"]
    replies = [await asked(service, texts[start : start + 50]) for start in range(0, len(texts), 50)]

    async def looked() -> bool:
        return bool((await service.get("/drift")).json()["rows"] == before + len(texts))

    await until(looked)
    return [name for reply in replies for name in reply.json()["ids"]]


def like(count: int, seed: int) -> list[str]:
    """Texts as the model was measured on."""
    return [row["text"] for row in reviews(count, seed)]


def test_drift_of_what_is_served_is_told_with_the_detector_and_the_names_of_the_rows(shown: Path) -> None:
    strange = [f"das Kino war gut, {text}" for text in like(WINDOW, 31)]

    async def main() -> tuple[list[Any], list[str], list[str], Any]:
        async with client(shown, monitor=watched) as service:
            told = [(await service.get("/drift")).json()]
            await shown_to(service, like(WINDOW, 30))
            told.append((await service.get("/drift")).json())
            ids = await shown_to(service, strange)
            told.append((await service.get("/drift")).json())
            return told, ids, (await service.get("/metrics")).text.splitlines(), (await service.get("/readyz")).json()

    (before, quiet, moved), ids, figures, ready = asyncio.run(main())
    assert before["words"] == ["0 of the 100 rows of the first window have come."] and before["windows"] == 0
    assert not quiet["drifted"] and quiet["words"] == ["The rows are like those that the model was measured on."]
    assert quiet["last"]["estimated"] == pytest.approx(quiet["last"]["held_out"], abs=0.1)
    assert moved["drifted"] and (moved["windows"], moved["alarms"], moved["skipped"]) == (2, 1, 0)
    assert [(each["window"], each["drifted"]) for each in moved["recent"]] == [(1, False), (2, True)]
    assert any(words.startswith("ks(unknown_tokens) is ") and ", since window 2: " in words for words in moved["words"])
    beyond = next(each for each in moved["last"]["findings"] if each["detector"] == "ks(unknown_tokens)")
    assert beyond["distance"] > beyond["limit"] and len(beyond["ids"]) == 5 and set(beyond["ids"]) <= set(ids)
    told = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in figures if not line.startswith("#")}
    for name in ("distance", "limit"):
        found = told[f'hfrecipes_drift_{name}{{detector="ks(unknown_tokens)",release=""}}']
        assert found == beyond[name]
    assert told['hfrecipes_drift_windows_total{release=""}'] == 2 and told['hfrecipes_drift_alarms_total{release=""}'] == 1
    assert told['hfrecipes_accuracy{kind="held_out",release=""}'] == moved["last"]["held_out"]
    assert told["hfrecipes_monitored"] == 1 and ready["unmonitored"] == ""


def test_labels_that_come_later_give_the_accuracy(shown: Path) -> None:
    rows = reviews(60, seed=32)

    async def main() -> list[Any]:
        async with client(shown, monitor=watched) as service:
            ids = await shown_to(service, [row["text"] for row in rows])
            truth = [row["label"] for row in rows]
            given: list[Any] = [
                {"ids": [*ids, "other-0"], "labels": [*truth, "positive"]},
                {"ids": ids[:1], "labels": ["odd"]},
                {"ids": ids[:2], "labels": truth[:1]},
                {"ids": [1], "labels": ["positive"]},
                {"ids": ids[:1], "labels": [True]},
                {"ids": ids[:1]},
                {"ids": [], "labels": [], "more": 1},
                [],
            ]
            replies = [await service.post("/labels", content=json.dumps(each), headers=JSON) for each in given]
            return [(reply.status_code, reply.json()) for reply in replies]

    (status, learnt), *refused = asyncio.run(main())
    assert status == 200 and learnt["found"] == 60 and learnt["accuracy"] > 0.9
    assert [status for status, _ in refused] == [422] * len(refused)
    assert refused[0][1]["error"] == "labels: the model does not know the label 'odd'. Its 2 are: negative, positive."
    assert refused[2][1]["error"].startswith("ids.0: Input should be a valid string. Write ")


def test_each_release_has_a_monitor_of_its_own(shown: Path, tmp_path: Path) -> None:
    registry = Registry(shutil.copytree(shown.parent / "registry", tmp_path / "registry"))
    registry.promote("v1")
    assert registry.add(registry.folder("v1") / "bundles/cpu").name == "v2"

    async def main() -> list[Any]:
        async with client(registry.path, monitor=watched) as service:

            async def served(name: str) -> bool:
                return bool((await service.get("/drift")).json()["release"] == name)

            await shown_to(service, like(WINDOW, 33))
            told = [(await service.get("/drift")).json()]
            for change, name in ((lambda: registry.promote("v2"), "v2"), (registry.rollback, "v1")):
                await asyncio.to_thread(change)
                await until(lambda name=name: served(name))
                told.append((await service.get("/drift")).json())
                await shown_to(service, like(30, 34))
            return told

    told = asyncio.run(main())
    assert [(each["release"], each["windows"], each["rows"]) for each in told] == [("v1", 1, 100), ("v2", 0, 0), ("v1", 0, 0)]


def test_a_baseline_of_another_model_is_no_reason_not_to_serve_and_is_told(
    shown: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = shutil.copytree(shown / "bundles/cpu", tmp_path / "bundle")
    facts = {key: entry for key, entry in opened(bundle).items() if key not in ("format", "files")}
    write_json(bundle / "baseline.json", {**read_json(bundle / "baseline.json"), "weights": "0" * 64})
    seal(bundle, facts)

    async def main() -> tuple[Any, ...]:
        async with client(bundle, monitor=watched) as service:
            label = await service.post("/labels", content=b'{"ids": ["a"], "labels": ["positive"]}', headers=JSON)
            paths = ("/readyz", "/drift")
            return await asked(service, like(3, 35)), *[(await service.get(path)).json() for path in paths], label

    reply, ready, drift, label = asyncio.run(main())
    why = f"{bundle / 'baseline.json'}: is not that of the checkpoint's weights. Fit it again: hfrecipes fit."
    assert reply.status_code == 200 and ready["ready"] and ready["unmonitored"] == why
    assert drift["words"] == [f"There is no monitor: {why}"] and drift["rows"] == 0
    assert label.status_code == 422 and "there is no monitor" in label.json()["error"]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("hfrecipes")] == [
        f"served without a monitor: {why}"
    ]


def test_answers_do_not_wait_for_the_monitor_and_what_it_has_no_time_for_is_counted(
    shown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitoring, "WAITING", 40)
    free = threading.Event()

    class Slow(Monitor):
        def observe(self, rows: Sequence[Any], answers: Sequence[Any], ids: Any = None) -> list[Drift]:
            free.wait(20)
            return super().observe(rows, answers, ids)

    async def main() -> tuple[list[int], float]:
        async with client(shown, monitor=Slow.from_pretrained) as service:
            statuses = [(await asked(service, like(20, seed))).status_code for seed in range(5)]
            skipped = await figure(service, 'hfrecipes_drift_rows_skipped_total{release=""}')
            free.set()

            async def all_looked_at() -> bool:
                return await figure(service, 'hfrecipes_drift_rows_total{release=""}') == 100 - skipped

            await until(all_looked_at)
            return statuses, skipped

    statuses, skipped = asyncio.run(main())
    assert statuses == [200] * 5
    assert 100 - 40 - monitoring.AT_ONCE <= skipped <= 100 - 40


def test_a_monitor_that_fails_fails_alone_and_no_text_is_logged(shown: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Monitor):
        def observe(self, rows: Sequence[Any], answers: Sequence[Any], ids: Any = None) -> list[Drift]:
            raise RuntimeError(f"secret {rows[0]}")

    async def main() -> int:
        async with client(shown, monitor=Broken.from_pretrained) as service:

            async def passed_over() -> bool:
                return await figure(service, 'hfrecipes_drift_rows_skipped_total{release=""}') == 8

            statuses = [(await asked(service, like(4, seed))).status_code for seed in range(2)]
            await until(passed_over)
            return sum(status == 200 for status in statuses)

    with caplog.at_level(logging.DEBUG):
        assert asyncio.run(main()) == 2
    assert "the monitor failed with a RuntimeError" in caplog.text
    assert "secret" not in caplog.text and "film" not in caplog.text


def test_no_text_is_kept(shown: Path) -> None:
    made: list[Monitor] = []

    def kept(folder: Path) -> Monitor:
        made.append(watched(folder))
        return made[-1]

    async def main() -> Any:
        async with client(shown, monitor=kept) as service:
            await shown_to(service, like(WINDOW + 50, 36))
            return (await service.get("/drift")).json()

    told = asyncio.run(main())
    [monitor] = made
    state = pickle.dumps({name: entry for name, entry in vars(monitor).items() if name.startswith("_")})
    assert len(monitor._open) and b"positive" in state and b"film" not in state
    assert "film" not in json.dumps(told)
