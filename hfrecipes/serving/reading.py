"""Reading: the bytes of a request to a question, or a refusal that says in one line where it is wrong and what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from hfrecipes.errors import UserError
from hfrecipes.serving.examples import reads
from hfrecipes.serving.limits import Limits, Refusal
from hfrecipes.serving.monitoring import Labels
from hfrecipes.serving.served import Question, Served, length
from hfrecipes.tokens import LONE_SURROGATES

FORM = 'Write {"inputs": "a text"}, or {"inputs": ["a text", "another"], "coverage": 0.9}'
LABELS = 'Write {"ids": ["1a2b3c4d-0"], "labels": ["positive"]}, with ids of replies'
ESCAPED = re.compile(rb"\\u[dD][89a-fA-F]")


def check_type(said: str) -> None:
    """Raises a Refusal for a body that is not JSON in UTF-8, as `content-type` says."""
    kind, _, options = said.lower().partition(";")
    charset = options.partition("charset=")[2].strip(' "')
    if kind.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Refusal.of(415, "content-type", f"is {said[:60]!r}" if said else "is missing", "Send application/json in UTF-8")


def question(body: bytes, served: Served, limits: Limits) -> Question:
    """The question in a body. Raises a Refusal where there is none that the release can answer."""
    asked = _object(body, FORM)
    if unknown := [key for key in asked if key not in ("inputs", "coverage")]:
        raise Refusal.of(422, "body", f"has the unknown key {unknown[0][:60]!r}", FORM)
    if "inputs" not in asked:
        raise Refusal.of(422, "body", "has no inputs", FORM)
    given = asked["inputs"]
    items = given if isinstance(given, list) else [given]
    if not items:
        raise Refusal.of(422, "inputs", "is an empty list", FORM)
    if len(items) > limits.items:
        raise Refusal.of(422, "inputs", f"has {len(items)} items", f"Send at most {limits.items} at once")
    places = [f"inputs[{place}]" for place in range(len(items))] if isinstance(given, list) else ["inputs"]
    kept = tuple(_item(served, item, place, limits.characters) for item, place in zip(items, places, strict=True))
    return Question(served, kept, _coverage(asked.get("coverage"), served))


def labels(body: bytes) -> Labels:
    """The ids in a body, and the true labels that came for them. Raises a Refusal where there are none."""
    try:
        return Labels.model_validate(_object(body, LABELS))
    except ValidationError as error:
        first = error.errors()[0]
        raise Refusal.of(422, ".".join(map(str, first["loc"]))[:60], first["msg"], LABELS) from None


def _object(body: bytes, form: str) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal.of(400, "body", f"is not UTF-8 at byte {error.start}", "Encode it as UTF-8") from None
    try:
        asked = json.loads(text, parse_constant=_constant)
        halves = ESCAPED.search(body) and LONE_SURROGATES.search(json.dumps(asked, ensure_ascii=False))
    except (ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0] if isinstance(error, json.JSONDecodeError) else "it cannot be read"
        raise Refusal.of(400, "body", f"is not JSON: {first}", form) from None
    if not isinstance(asked, dict):
        raise Refusal.of(422, "body", "is not a JSON object", form)
    if halves:
        raise Refusal.of(422, "body", "has half of a surrogate pair, which is no character", "Send whole characters")
    return asked


def _constant(name: str) -> NoReturn:
    raise ValueError(name)


def _coverage(coverage: Any, served: Served) -> float | None:
    if coverage is None:
        return None
    if isinstance(coverage, bool) or not isinstance(coverage, (int, float)):
        raise Refusal.of(422, "coverage", "is not a number", "Write 0.9 for 90 of 100")
    try:
        served.predictor.uncertainty.limit(coverage)
    except UserError as error:
        raise Refusal(422, str(error)) from None
    return float(coverage)


def _item(served: Served, item: Any, where: str, characters: int) -> Any:
    """A text, or a row without its labels. Raises a Refusal for what is neither, or too long."""
    task, roles = served.predictor.task, served.roles
    wanted = "Its columns are: " + ", ".join(f"{role} ({task.columns[role].meaning})" for role in roles)
    if not isinstance(item, (str, Mapping)):
        raise Refusal.of(422, where, "is neither a text nor an object", wanted)
    for role, entry in item.items() if isinstance(item, Mapping) else ():
        if role not in task.columns:
            raise Refusal.of(422, where, f"has the unknown column {role[:60]!r}", wanted)
        text = task.columns[role].text
        words = isinstance(entry, list) and all(isinstance(word, str) for word in entry)
        if role in roles and not (isinstance(entry, str) if text else words):
            raise Refusal.of(422, where, f"{role} is not {'a text' if text else 'a list of texts'}", wanted)
    if isinstance(item, Mapping) and (missing := [role for role in served.needed if role not in item]):
        raise Refusal.of(422, where, f"has no {missing[0]}", wanted)
    if not reads(task, item):
        raise Refusal.of(422, where, "is a text alone", wanted)
    kept = {role: item[role] for role in roles if role in item} if isinstance(item, Mapping) else item
    if (count := length(kept)) > characters:
        raise Refusal.of(422, where, f"has {count} characters", f"Send at most {characters}")
    return kept
