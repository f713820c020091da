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


def needed(task: Task) -> list[str]:
    """The columns that a row has to have: the first, and those that the task does not read a row without."""
    roles = inputs(task)
    return [role for role in roles if role == roles[0] or not reads(task, {each: TEXT for each in roles if each != role})]


def reads(task: Task, item: Any) -> bool:
    """Whether a task can make a row of a text, or of a mapping."""
    return bool(task.meant(item))


def example(task: Task) -> Any:
    """A text, or a row, that the task can answer."""
    row = {role: TEXT for role in inputs(task) if task.columns[role].text and task.columns[role].required}
    asked = task.sample(row) if row else TEXT
    return asked if isinstance(asked, str) or not reads(task, TEXT) else next(iter(asked.values()))


def schema(task: Task, items: int) -> dict[str, Any]:
    """A JSON Schema of the body of `/predict`."""
    roles = inputs(task)
    texts = {"type": "string"}
    properties = {
        role: {**(texts if column.text else {"type": "array", "items": texts}), "description": column.meaning}
        for role, column in task.columns.items()
        if role in roles
    }
    row = {"type": "object", "properties": properties, "required": needed(task), "additionalProperties": False}
    item: dict[str, Any] = {"oneOf": [texts, row]} if reads(task, TEXT) else row
    several = {"type": "array", "items": item, "minItems": 1, "maxItems": items}
    coverage = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    return {
        "type": "object",
        "properties": {"inputs": {"anyOf": [item, several]}, "coverage": coverage},
        "required": ["inputs"],
        "additionalProperties": False,
        "example": {"inputs": [example(task)]},
    }
