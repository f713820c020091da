"""Refusals: too much, too long, not in time, not the key, and what is no question."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hfrecipes.errors import UserError
from hfrecipes.serving.limits import Limits
from tests.serving.asking import JSON, Gate, asked, client, exact, figure, gated, texts, until

TIGHT = Limits(items=3, characters=50, size=4000)
BAD: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b'{"inputs": "a"} x', 400),
    (b'{"inputs": "\xff"}', 400),
    (b'{"inputs": "a", "coverage": NaN}', 400),
    (b"[" * 3000, 400),
    (b"[" * 1900 + b"]" * 1900, 400),
    (b'{"inputs": {"text": ' + b"[" * 500 + b"]" * 500 + b"}}", 422),
    (b'{"inputs": ' + b"9" * 900 + b"}", 422),
    (b"null", 422),
    (b'["a"]', 422),
    (b"{}", 422),
    (b'{"input": "a"}', 422),
    (b'{"inputs": "a", "more": 1}', 422),
    (b'{"inputs": []}', 422),
    (b'{"inputs": null}', 422),
    (b'{"inputs": 5}', 422),
    (b'{"inputs": [["a", "b"]]}', 422),
    (b'{"inputs": ["a", null]}', 422),
    (b'{"inputs": {}}', 422),
    (b'{"inputs": {"txt": "a"}}', 422),
    (b'{"inputs": {"text": null}}', 422),
    (b'{"inputs": {"text": ["a"]}}', 422),
    (b'{"inputs": {"text_pair": "a"}}', 422),
    (b'{"inputs": {"text": "a", "text_pair": {}}}', 422),
    (b'{"inputs": "\\ud83d"}', 422),
    (b'{"inputs": {"\\udc00": "a"}}', 422),
    (b'{"inputs": "a", "coverage": "0.9"}', 422),
    (b'{"inputs": "a", "coverage": true}', 422),
    (b'{"inputs": "a", "coverage": 1}', 422),
    (b'{"inputs": "a", "coverage": 1e999}', 422),
    (b'{"inputs": ["a", "a", "a", "a"]}', 422),
    (b'{"inputs": "' + b"a" * 51 + b'"}', 422),
    (b'{"inputs": "' + b"a" * 4000 + b'"}', 413),
]
GOOD: list[tuple[bytes, int]] = [
    (b'{"inputs": ""}', 200),
    (b'{"inputs": {"text": "a", "label": ' + b"[" * 500 + b"]" * 500 + b"}}", 200),
    (b'{"inputs": "\\ud83d\\ude00 \\u0000", "coverage": null}', 200),
    ('{"inputs": "😀 é"}'.encode(), 200),
]
"""Bodies that look odd and are questions."""


def test_bad_bodies_are_refused_in_one_line_and_never_the_service_s_fault(finished: Path) -> None:
    async def main() -> list[Any]:
        async with client(finished, limits=TIGHT) as service:
            return [await service.post("/predict", content=body, headers=JSON) for body, _ in [*BAD, *GOOD]]

    replies = asyncio.run(main())
    found = [(body, reply.status_code) for (body, _), reply in zip([*BAD, *GOOD], replies, strict=True)]
    assert found == [*BAD, *GOOD]
    for reply in replies[: len(BAD)]:
        assert set(reply.json()) == {"error"} and "\n" not in reply.json()["error"]


def test_wrong_types_paths_and_methods(finished: Path) -> None:
    async def main() -> list[tuple[int, str]]:
        async def parts() -> Any:
            for _ in range(50):
                yield b"x" * 100

        async with client(finished, limits=TIGHT) as service:
            body = b'{"inputs": "a"}'
            found = [
                await service.post("/predict", content=body, headers={"content-type": kind})
                for kind in ("", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1")
            ]
            found += [await service.post("/predict", content=body, headers={"content-type": "Application/JSON; charset=UTF-8"})]
            found += [await service.post("/predict", content=parts(), headers=JSON)]
            found += [await service.get("/predict"), await service.post("/healthz"), await service.get("/x")]
            found += [await service.post("/stream", content=body, headers=JSON)]
            return [(reply.status_code, reply.json().get("error", "")) for reply in found]

    replies = asyncio.run(main())
    assert [status for status, _ in replies] == [415, 415, 415, 415, 200, 413, 405, 405, 404, 422]
    assert replies[-1][1] == "/stream: text-classification does not write. Ask /predict."


def test_beyond_the_rows_in_flight_requests_are_refused_at_once_and_nothing_accepted_is_lost(finished: Path) -> None:
    gates: list[Gate] = []
    given = texts(40)

    async def main() -> tuple[list[Any], list[Any], Any]:
        async with client(finished, gated(gates), Limits(in_flight=12, items=12, batch_rows=4)) as service:
            gates[0].opened.clear()
            kept = [asyncio.create_task(asked(service, given[i : i + 3])) for i in range(0, 12, 3)]
            await until(lambda: _is(service, 12))
            refused = [await asked(service, text) for text in given[12:]]
            gates[0].opened.set()
            return [await each for each in kept], refused, await asked(service, given[0])

    kept, refused, after = asyncio.run(main())
    assert {reply.status_code for reply in refused} == {503}
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json() == {"error": "service: 12 of 12 rows are in flight. Ask again in a second."}
    alone = exact(finished)
    for reply, start in zip(kept, range(0, 12, 3), strict=True):
        scores = [answer["scores"] for answer in reply.json()["answers"]]
        assert scores == [pytest.approx(dict(alone(text).scores), abs=1e-5) for text in given[start : start + 3]]
    assert after.status_code == 200


async def _is(service: Any, rows: int) -> bool:
    return await figure(service, "hfrecipes_rows_in_flight") == rows


def test_a_request_that_takes_too_long_is_given_up_and_the_next_is_answered(finished: Path) -> None:
    gates: list[Gate] = []

    async def main() -> tuple[list[Any], Any]:
        async with client(finished, gated(gates), Limits(timeout=0.2)) as service:
            gates[0].opened.clear()
            late = await asyncio.gather(*(asked(service, text) for text in ("good", "bad")))
            gates[0].opened.set()
            await until(lambda: _is(service, 0))
            return late, await asked(service, "good")

    late, after = asyncio.run(main())
    assert [reply.status_code for reply in late] == [504, 504]
    assert late[0].json() == {"error": "service: there was no answer within 0.2 s. Ask again, or for less at once."}
    assert after.status_code == 200


def test_who_does_not_show_the_key_gets_no_answer(finished: Path) -> None:
    shown = ["", "Bearer", "Bearer secre", "Bearer secrett", "secret", "Basic secret", "Bearer sécret"]

    async def main() -> tuple[list[int], int, list[int], str]:
        async with client(finished, key="secret") as service:

            async def status(path: str, key: str) -> int:
                headers = [(b"content-type", b"application/json"), (b"authorization", key.encode())]
                return int((await service.post(path, content=b'{"inputs": "good"}', headers=headers)).status_code)

            refused = [await status(path, key) for path in ("/predict", "/stream") for key in shown]
            free = [(await service.get(path)).status_code for path in ("/healthz", "/readyz", "/", "/metrics")]
            reply = await service.post("/predict", content=b"")
            return refused, await status("/predict", "Bearer secret"), free, reply.headers["www-authenticate"]

    refused, answered, free, said = asyncio.run(main())
    assert set(refused) == {401} and answered == 200 and said == "Bearer"
    assert free == [200, 200, 200, 401]


@pytest.mark.parametrize("wrong", [{"in_flight": 4, "items": 5}, {"timeout": 0.0}, {"batch_rows": -1}, {"wait_ms": float("nan")}])
def test_limits_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Limits(**wrong)


def test_the_key_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hfrecipes.cli.on_services import KEY, _key

    monkeypatch.delenv(KEY, raising=False)
    assert _key(None) == ""
    (tmp_path / "key").write_text("one\n", "utf-8")
    assert _key(tmp_path / "key") == "one"
    monkeypatch.setenv(KEY, "two")
    assert _key(None) == "two" and _key(tmp_path / "key") == "one"
    for empty in (lambda: monkeypatch.setenv(KEY, " "), lambda: (tmp_path / "key").write_text("")):
        empty()
    for file in (None, tmp_path / "key", tmp_path / "nothing"):
        with pytest.raises(UserError):
            _key(file)
