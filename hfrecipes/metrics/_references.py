"""References of written text: a row has one acceptable text or a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.errors import DataError


def accepted(reference: Any) -> list[str]:
    """The acceptable texts of a row; there is at least one."""
    texts = [reference] if isinstance(reference, str) else list(reference)
    if not texts:
        raise DataError("data", "a row has no reference", "Give each row one acceptable text or more")
    return texts


def columns(references: Sequence[Any]) -> list[list[str | None]]:
    """The rows' first texts, their second texts and so on, None where a row has fewer: what sacrebleu reads."""
    rows = [accepted(reference) for reference in references]
    return [[row[i] if i < len(row) else None for row in rows] for i in range(max(map(len, rows)))]
