"""Answers over HTTP: what a request gets is the answer to its own rows, whatever else was asked at the same time."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Cache, Predictor
from hfrecipes.part import find, names
from hfrecipes.serving.examples import example, inputs, reads, schema
from hfrecipes.serving.limits import Limits
from tests.serving.asking import JSON, asked, client, exact, figure, texts


def test_each_of_many_requests_gets_the_answers_to_its_own_rows(finished: Path) -> None:
    alone = exact(finished)
    given = [texts(60)[i : i + 1 + i % 5] for i in range(55)]

    async def main() -> tuple[list[Any], float]:
        async with client(finished, limits=Limits(batch_rows=16)) as service:
            replies = await asyncio.gather(*(asked(service, each) for each in given))
            return replies, await figure(service, "hfrecipes_batch_rows_count")

    replies, batches = asyncio.run(main())
    assert batches < len(given) / 2
    for each, reply in zip(given, replies, strict=True):
        answers = [alone(text) for text in each]
        assert [answer["label"] for answer in reply.json()["answers"]] == [answer.label for answer in answers]
        for found, answer in zip(reply.json()["answers"], answers, strict=True):
            assert found["scores"] == pytest.approx(dict(answer.scores), abs=1e-5)
        assert reply.json()["confidences"] == [[pytest.approx(answer.score, abs=1e-5)] for answer in answers]
        assert reply.json()["covered"] is None


def test_a_text_a_row_and_a_coverage(shown: Path) -> None:
    alone = exact(shown)
    text = "the film was good"

    async def main() -> list[Any]:
        async with client(shown) as service:
            return [(await asked(service, *each)).json() for each in ((text,), ({"text": text},))] + [
                (await asked(service, [text, "bad"], coverage=0.9)).json()
            ]

    single, row, covered = asyncio.run(main())
    assert single.pop("ids") != row.pop("ids")
    assert single == row and len(single["answers"]) == 1
    assert single["model"] == alone.fingerprint and single["release"] == ""
    promised = [alone(each, coverage=0.9) for each in (text, "bad")]
    assert covered["covered"] == [{"among": list(each.among), "abstains": each.abstains} for each in promised]


def test_a_request_that_the_model_fails_on_fails_alone_and_no_text_is_logged(
    finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def opened(folder: Path) -> Predictor:
        found = exact(folder)
        doomed = found.tokens.tokenizer.token_to_id("awful")

        def engine(batch: Mapping[str, Any]) -> Any:
            if (batch["input_ids"] == doomed).any():
                raise RuntimeError("secret words")
            return found.engine(batch)

        return dataclasses.replace(found, engine=engine)

    async def main() -> list[Any]:
        async with client(finished, opened) as service:
            return await asyncio.gather(*(asked(service, text) for text in ("good", "awful film", "bad")))

    with caplog.at_level(logging.DEBUG):
        replies = asyncio.run(main())
    assert [reply.status_code for reply in replies] == [200, 500, 200]
    assert replies[1].json() == {"error": "service: the model failed with a RuntimeError. Tell who runs it."}
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("hfrecipes"))
    assert ours == "the model failed with a RuntimeError"
    assert "secret" not in caplog.text and "awful" not in caplog.text


def test_the_description_has_an_example_that_is_answered(finished: Path) -> None:
    async def main() -> tuple[dict[str, Any], Any, Any]:
        async with client(finished) as service:
            described = (await service.get("/openapi.json")).json()
            body = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
            reply = await service.post("/predict", content=json.dumps(body["example"]), headers=JSON)
            return described, reply, await service.get("/")

    described, reply, page = asyncio.run(main())
    assert reply.status_code == 200
    answer = described["components"]["schemas"]["Classification"]
    assert set(reply.json()["answers"][0]) == set(answer["properties"])
    assert "text-classification" in page.text and "http" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("name", names("tasks"))
def test_every_task_has_an_example_and_a_reply_with_its_answers(name: str) -> None:
    from hfrecipes.serving.served import Reply

    task = find("tasks", name)()
    assert reads(task, example(task))
    assert schema(task, 4)["example"] == {"inputs": [example(task)]}
    assert not set(inputs(task)) & {"label", "labels", "tags", "target", "answers", "score"}
    described = Reply[task.answers].model_json_schema(mode="serialization")
    assert task.answers.__name__ in described["$defs"]


def test_figures_tell_of_requests_confidence_the_cache_and_the_model(finished: Path) -> None:
    def opened(folder: Path) -> Predictor:
        return Predictor.open(folder, "fp32", threads=1, cache=Cache(100))

    async def main() -> str:
        async with client(finished, opened) as service:
            for _ in range(3):
                await asked(service, "the film was good")
            await service.get("/nowhere/at/all")
            return str((await service.get("/metrics")).text)

    lines = asyncio.run(main()).splitlines()
    assert 'hfrecipes_requests_total{path="/predict",status="200"} 3.0' in lines
    assert 'hfrecipes_requests_total{path="other",status="404"} 1.0' in lines
    assert 'hfrecipes_request_seconds_count{path="/predict"} 3.0' in lines
    assert "hfrecipes_confidence_count 3.0" in lines
    assert "hfrecipes_cache_hits_total 2.0" in lines
    assert "hfrecipes_rows_in_flight 0.0" in lines
    [told] = [line for line in lines if line.startswith("hfrecipes_model_info")]
    assert 'task="text-classification"' in told and opened(finished).fingerprint in told
