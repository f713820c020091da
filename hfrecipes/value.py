"""Value: a frozen dataclass that checks its fields, which are keys of a YAML.

pydantic checks them, and is imported when the first value is made: a new process that only answers does without, which is a
quarter of its time up to the first label.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast, dataclass_transform

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, TypeAdapter
    from pydantic_core import core_schema

T = TypeVar("T")
CHECKED = {"extra": "forbid", "validate_default": True, "arbitrary_types_allowed": True}
"""How pydantic checks the fields of a value."""


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def value(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass that checks its fields and refuses keys it does not have."""
    made: Any = dataclasses.dataclass(frozen=True)(cls)
    made.__pydantic_config__ = CHECKED

    @wraps(made.__init__)
    def checked(self: Any, *args: Any, **named: Any) -> None:
        from pydantic_core import ArgsKwargs

        adapter(made).validator.validate_python(ArgsKwargs(args, named), self_instance=self)

    made.__init__ = checked
    return cast("type[T]", made)


@cache
def adapter(cls: Any) -> TypeAdapter[Any]:
    """What makes values of `cls` from what was written."""
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def Field(**limits: Any) -> Any:
    """pydantic's of this name, for modules that a process that only answers imports, too: an annotation is read when the first
    value is checked."""
    from pydantic import Field

    return Field(**limits)


def AfterValidator(check: Callable[[Any], Any]) -> Any:
    """As `Field`."""
    from pydantic import AfterValidator

    return AfterValidator(check)


def keywords(given: Any) -> Mapping[str, Any]:
    """The fields that were named, in YAML or as arguments in Python; none of what is a value already."""
    from pydantic_core import ArgsKwargs

    named = given.kwargs if isinstance(given, ArgsKwargs) else given
    return named if isinstance(named, Mapping) else {}


class Checked:
    """Base of values: an unknown key is refused with the keys there are."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(cls.read, handler(source))

    @classmethod
    def read(cls, given: Any) -> Any:
        """Turn what was written into keyword arguments; a subclass may accept a shorter form."""
        from pydantic_core import PydanticCustomError

        fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for key in keywords(given):
            if key not in fields:
                raise PydanticCustomError(
                    "unknown_key", "unknown key '{key}'. {hint}", {"key": str(key), "hint": hint(str(key), fields)}
                )
        return given


def hint(wrong: str, known: tuple[str, ...] | list[str]) -> str:
    """`Did you mean …` where one is close, and the whole list."""
    close = difflib.get_close_matches(wrong, known, n=1)
    return (f"Did you mean '{close[0]}'? " if close else "") + (f"One of: {', '.join(known)}" if known else "It takes none")
