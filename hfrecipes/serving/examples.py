"""Examples: what a task may be asked, from its columns."""

from __future__ import annotations

from typing import Any

from hfrecipes.inference.smoke import TEXT
from hfrecipes.tasks import Task


def inputs(task: Task) -> list[str]:
    """The columns that an answer is made from: those that are no labels."""
    whole = {role: TEXT if column.text else [TEXT] for role, column in task.columns.items()}
    read = task.row(whole)
    return [role for role in task.columns if role in read]


def texts_alone(task: Task) -> bool:
    """Whether a text alone can be asked about."""
    try:
        return bool(task.row(TEXT))
    except (KeyError, TypeError, ValueError):
        return False


def example(task: Task) -> Any:
    """A text, or a row, that the task can answer."""
    row = {role: TEXT for role in inputs(task) if task.columns[role].text and task.columns[role].required}
    asked = task.sample(row) if row else TEXT
    return asked if isinstance(asked, str) or not texts_alone(task) else next(iter(asked.values()))


def schema(task: Task, items: int) -> dict[str, Any]:
    """A JSON Schema of the body of `/predict`."""
    roles = inputs(task)
    texts = {"type": "string"}
    properties = {
        role: {**(texts if column.text else {"type": "array", "items": texts}), "description": column.meaning}
        for role, column in task.columns.items()
        if role in roles
    }
    required = [role for role in roles if task.columns[role].required]
    row = {"type": "object", "properties": properties, "required": required}
    item: dict[str, Any] = {"oneOf": [texts, row]} if texts_alone(task) else row
    several = {"type": "array", "items": item, "minItems": 1, "maxItems": items}
    coverage = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    return {
        "type": "object",
        "properties": {"inputs": {"anyOf": [item, several]}, "coverage": coverage},
        "required": ["inputs"],
        "additionalProperties": False,
        "example": {"inputs": [example(task)]},
    }
