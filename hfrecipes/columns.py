"""Columns: the roles that a task gives to the columns of the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A role that a task gives to a column: what it holds, in words, whether it is a `text`, and whether it is `required`."""

    meaning: str
    text: bool = False
    required: bool = True
