"""Page: a form to ask one question."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi import Response

from hfrecipes.serving.examples import example
from hfrecipes.serving.served import Served

FILE = Path(__file__).with_name("page.html")
ALLOWED = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


def page(served: Served) -> Response:
    """The form of a task, with an example in it."""
    task = served.predictor.task
    asked = example(task)
    row = asked if isinstance(asked, dict) else {"text": asked}
    about = {
        "task": task.name,
        "row": row,
        "plain": isinstance(asked, str),
        "meanings": {role: task.columns[role].meaning for role in row if role in task.columns},
        "coverage": bool(served.predictor.uncertainty.nonconformity),
    }
    said = json.dumps(about).replace("<", "\\u003c")
    html = FILE.read_text("utf-8").replace("{{about}}", said)
    return Response(html, media_type="text/html; charset=utf-8", headers={"content-security-policy": ALLOWED})
