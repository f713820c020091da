"""Answers on Ray Serve, from the bundle in `model/` beside this file:   serve run serve_config.yaml

curl localhost:8000 -H 'content-type: application/json' -d '{"inputs": ["a text"]}' answers as `hfrecipes serve` does at /predict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hfrecipes import Predictor
from hfrecipes.errors import UserError
from hfrecipes.serving.limits import Limits, Refusal
from hfrecipes.serving.reading import check_type, question
from hfrecipes.serving.served import Question, Served

MODEL = Path(__file__).resolve().with_name("model")


class Answers:
    """Answers questions; those of several requests in one batch."""

    def __init__(self) -> None:
        self.served = Served.open(MODEL, lambda folder: Predictor.open(folder, threads=1))
        self.limits = Limits()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)  # type: ignore[untyped-decorator]
    async def answer(self, questions: list[Question]) -> list[bytes | UserError]:
        """The replies in the order of the questions."""
        return await asyncio.to_thread(self._replies, questions)

    async def __call__(self, request: Request) -> Response:
        """The reply to a request."""
        try:
            check_type(request.headers.get("content-type", ""))
            said = await self.answer(question(await request.body(), self.served, self.limits))
            if isinstance(said, UserError):
                raise Refusal(422, str(said))
        except Refusal as refusal:
            return JSONResponse({"error": refusal.line}, refusal.status, refusal.headers)
        return Response(said, media_type="application/json")

    def _replies(self, questions: Sequence[Question]) -> list[bytes | UserError]:
        """Where a batch fails, each is asked alone, so that none fails for another."""
        try:
            return [said.body for said in self.served.replies(questions)]
        except UserError as error:
            return [error] if len(questions) == 1 else [found for each in questions for found in self._replies([each])]


app = serve.deployment(Answers).bind()
