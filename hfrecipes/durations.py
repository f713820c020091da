"""Durations: `7d`, `12h`, `30m`, as people write how long something lasts."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
FORM = re.compile(r"([1-9][0-9]*)([wdhms])")


def check(given: Any) -> str:
    """A duration as it was written. Raises where it is none."""
    if not isinstance(given, str) or not FORM.fullmatch(given):
        raise PydanticCustomError("duration", "'{given}' is no duration. Write one such as 7d, 12h or 30m", {"given": str(given)})
    return given


Duration = Annotated[str, BeforeValidator(check)]


def seconds(duration: str) -> int:
    """How long a duration lasts."""
    number, unit = duration[:-1], duration[-1]
    return int(number) * SECONDS[unit]


def words(span: float) -> str:
    """Seconds as people say them: in the largest unit that there is at least one of."""
    for unit, size in SECONDS.items():
        if span >= size:
            return f"{span / size:.1f}".removesuffix(".0") + unit
    return "0s"
