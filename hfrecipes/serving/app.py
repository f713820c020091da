"""App: the paths of the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from hfrecipes import __version__
from hfrecipes.errors import UserError
from hfrecipes.pointer import FILE
from hfrecipes.serving import monitoring
from hfrecipes.serving.batching import Batcher
from hfrecipes.serving.door import PATHS, Door
from hfrecipes.serving.examples import schema
from hfrecipes.serving.figures import Figures
from hfrecipes.serving.limits import Limits, Refusal
from hfrecipes.serving.monitoring import Drifted, Labelled, Labels, Observer
from hfrecipes.serving.page import page
from hfrecipes.serving.reading import check_type, labels, question
from hfrecipes.serving.served import Opener, Question, Served
from hfrecipes.serving.watching import Watcher

REFUSED = {
    400: "No JSON in UTF-8",
    401: "Not the key of this service",
    408: "A body that did not come in time",
    413: "A body that is too large",
    415: "Another content type than JSON",
    422: "No question that the model can answer",
    500: "The model failed",
    503: "Too much is in flight: ask again after Retry-After",
    504: "No answer in time",
}


class Refused(BaseModel):
    """Why there is no answer, in one line: where, what, what to send instead."""

    error: str


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


def service(where: str | Path, opener: Opener, limits: Limits, key: str = "", monitor: monitoring.Opener | None = None) -> Door:
    """The ASGI application that answers with what is at `where`, a run, a release, a registry, or `owner/name` on the Hub; of a
    registry always with the release that is in production. With a `monitor` each release is watched by its own. Raises ModelError
    where nothing there answers."""
    figures = Figures()
    opened = partial(Served.open, where, opener, monitor)
    batcher = Batcher(opened(), limits, figures, Observer())
    folder = Path(where).expanduser()
    watcher = Watcher(folder, batcher, opened, figures) if (folder / FILE).is_file() else None
    figures.watch(batcher, lambda: watcher.problem if watcher else "")
    return Door(_app(batcher, watcher, figures), batcher, figures, key)


def _app(batcher: Batcher, watcher: Watcher | None, figures: Figures) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in (batcher.observer, batcher, watcher):
                if each is not None:
                    await stack.enter_async_context(each.running())
            yield

    app = FastAPI(title="hfrecipes", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _lost)
    task, limits = batcher.served.predictor.task, batcher.limits
    asked = {"requestBody": {"required": True, **_json(schema(task, limits.items))}}
    learnt = {"requestBody": {"required": True, **_json(Labels.model_json_schema())}}
    refusal = _json(Refused.model_json_schema())
    told: dict[int | str, dict[str, Any]] = {status: {"description": words, **refusal} for status, words in REFUSED.items()}
    keyed: dict[int | str, dict[str, Any]] = {401: told[401]}

    async def body(request: Request) -> bytes:
        check_type(request.headers.get("content-type", ""))
        return await _body(request, limits)

    async def read(request: Request) -> Question:
        return question(await body(request), batcher.served, limits)

    @app.post("/predict", response_model=batcher.served.reply, responses=told, openapi_extra=asked, summary="Answers")
    async def predict(request: Request) -> Response:
        return Response(await batcher.answer(await read(request)), media_type="application/json")

    @app.post(
        "/stream",
        responses=told,
        response_class=EventStream,
        openapi_extra=asked,
        summary="One answer, piece by piece as it is written",
    )
    async def stream(request: Request) -> Response:
        if not task.generates:
            raise Refusal.of(422, "/stream", f"{task.name} does not write", "Ask /predict")
        found = await read(request)
        if len(found.items) != 1 or found.coverage is not None:
            raise Refusal.of(422, "inputs", "one text is written at a time, without a coverage", 'Write {"inputs": "a text"}')
        pieces = batcher.stream(found)
        first = await anext(pieces)
        return EventStream(_events(first, pieces, found.served))

    @app.post("/labels", responses=told, openapi_extra=learnt, summary="Take in true labels that come later")
    async def learn(request: Request) -> Labelled:
        watch, given = batcher.served.watch, labels(await body(request))
        try:
            return await batcher.observer.labels(watch, given)
        except UserError as error:
            raise Refusal(422, str(error)) from None

    @app.get("/drift", responses=keyed, summary="Whether rows and answers are like those the model was measured on")
    async def drift() -> Drifted:
        served = batcher.served
        return served.watch.told(served.release, served.predictor.fingerprint)

    @app.get("/healthz", summary="Whether the service runs")
    async def healthz() -> dict[str, bool]:
        return {"alive": True}

    @app.get("/readyz", summary="Whether it answers, with which release, and what stands in the way of another")
    async def readyz() -> dict[str, Any]:
        served, problem = batcher.served, watcher.problem if watcher else ""
        facts = {"release": served.release, "model": served.predictor.fingerprint, "problem": problem}
        return {"ready": True, **facts, "unmonitored": served.watch.lack}

    @app.get("/metrics", responses=keyed, response_class=PlainTextResponse, summary="Figures for Prometheus")
    async def metrics() -> Response:
        return Response(figures.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return page(batcher.served)

    return app


def _json(described: dict[str, Any]) -> dict[str, Any]:
    """How OpenAPI says that a body is JSON of a schema."""
    return {"content": {"application/json": {"schema": described}}}


async def _body(request: Request, limits: Limits) -> bytes:
    """The body of a request. Raises a Refusal where it is too large, or does not come in time."""
    large = Refusal.of(413, "body", f"is larger than {limits.size} bytes", "Send fewer items at once")
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limits.size:
        raise large
    found = bytearray()
    try:
        async with asyncio.timeout(limits.timeout):
            async for part in request.stream():
                found += part
                if len(found) > limits.size:
                    raise large
    except TimeoutError:
        raise Refusal.of(408, "body", f"did not come within {limits.timeout:g} s", "Send it at once") from None
    except ClientDisconnect:
        raise Refusal.of(400, "body", "was not sent to its end", "Send it again") from None
    return bytes(found)


async def _events(first: str, pieces: AsyncIterator[str], served: Served) -> AsyncIterator[str]:
    """Server-sent events: a piece each, and who wrote them; or what went wrong."""
    yield _event({"text": first})
    try:
        async for piece in pieces:
            yield _event({"text": piece})
    except Refusal as refusal:
        yield f"event: error\n{_event({'error': refusal.line})}"
    else:
        yield f"event: end\n{_event({'release': served.release, 'model': served.predictor.fingerprint})}"


def _event(values: dict[str, str]) -> str:
    return f"data: {json.dumps(values, ensure_ascii=False)}\n\n"


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse({"error": error.line}, error.status, error.headers)


async def _lost(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    here = request.url.path in PATHS
    what, instead = (
        ("takes no " + request.method, "See /openapi.json") if here else ("is no path", f"There are: {', '.join(PATHS)}")
    )
    line = Refusal.of(error.status_code, request.url.path[:60], what, instead).line
    return JSONResponse({"error": line}, error.status_code, error.headers)
