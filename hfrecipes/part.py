"""Parts: a part is one frozen dataclass, its fields are its YAML keys, and its file name is its YAML name.

`class Strategy(Part, kind="strategies")` opens a kind; each file of `hfrecipes/strategies/` holds one leaf of it. A field
typed with the base takes, in YAML and in Python alike, a name (`full`), a name with options (`{lora: {r: 8}}`), the path of
a Python file that holds the part (`./mine.py`), or a part made in Python. Nothing is registered anywhere.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import os
import re
import sys
from abc import ABC
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hfrecipes import installed
from hfrecipes.value import Checked, adapter, hint
from hfrecipes.value import value as value  # beside a base all that the file of a part needs

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import core_schema

PACKAGE = Path(__file__).parent
GIVEN: dict[str, str] = {}
"""The paths of users' files by the names of their modules."""
NAMED_BY_A_MODEL = ContextVar("NAMED_BY_A_MODEL", default=False)
TRUSTED = "HFRECIPES_PARTS"
"""The environment variable with the Python files that a folder of a model may name."""


class Part(Checked, ABC):
    """Base of all kinds of part."""

    kind: ClassVar[str]

    def __init_subclass__(cls, kind: str = "") -> None:
        super().__init_subclass__()
        if kind:
            cls.kind = kind

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        from pydantic_core import core_schema

        if "kind" not in cls.__dict__:
            return super().__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_plain_validator_function(cls.choose)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if "kind" not in cls.__dict__:
            return handler(schema)
        choices = {name: json_schema(find(cls.kind, name)) for name in names(cls.kind)}
        whole = {"type": "object", "properties": choices, "additionalProperties": False, "maxProperties": 1}
        return {"anyOf": [{"enum": list(choices)}, whole]}

    @classmethod
    def choose(cls, given: Any) -> Any:
        """The part that `given` names: a part, a name, or a mapping of one name to its options."""
        from pydantic import ValidationError
        from pydantic_core import PydanticCustomError

        if isinstance(given, cls):
            return given
        if isinstance(given, str):
            given = {given: {}}
        if not isinstance(given, Mapping) or len(given) != 1:
            raise PydanticCustomError(
                "part",
                "expected one name of {kind} with its options, got {given}. One of: {names}",
                {"kind": cls.kind, "given": repr(given), "names": ", ".join(names(cls.kind))},
            )
        [(name, options)] = given.items()
        try:
            return adapter(find(cls.kind, str(name))).validate_python({} if options is None else options)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__,
                [
                    {
                        "type": PydanticCustomError(e["type"], "{message}", {"message": e["msg"]}),
                        "loc": (str(name), *e["loc"]),
                        "input": e["input"],
                    }
                    for e in error.errors()
                ],
            ) from None
        except LookupError as error:
            raise PydanticCustomError("part", "{message}", {"message": error.args[0]}) from None

    @classmethod
    def read_back(cls, written: Any) -> Any:
        """As `choose`, of what was written of a part that had been checked. One without options is its defaults: where those are
        such as no check changes, none is made."""
        if not isinstance(written, str):
            return cls.choose(written)
        found = cls.find(written)
        fields = dataclasses.fields(found)  # type: ignore[arg-type]
        if not all(f.default is None or type(f.default) in (bool, float) or f.default_factory is dict for f in fields):
            return cls.choose(written)
        made = found.__new__(found)
        found.__init__.__wrapped__(made)  # type: ignore[attr-defined]
        return made

    @classmethod
    def find(cls, name: str) -> type[Self]:
        """The class of the part of this kind that `name` names. Raises LookupError with the names there are."""
        return find(cls.kind, name)  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """The name in the YAML: the file's, or the path of a user's file as it was given."""
        module = type(self).__module__
        if module in GIVEN:
            return GIVEN[module]
        return spell(self.kind, module.rpartition(".")[2])


def json_schema(cls: type) -> Any:
    """The JSON Schema of a value, each definition in the place where it is referred to: it may stand inside of another schema."""
    schema = adapter(cls).json_schema()
    shared = schema.pop("$defs", {})

    def inline(entry: Any) -> Any:
        if isinstance(entry, list):
            return [inline(each) for each in entry]
        if not isinstance(entry, dict):
            return entry
        if "$ref" in entry:
            entry = shared[entry["$ref"].rpartition("/")[2]] | {key: each for key, each in entry.items() if key != "$ref"}
        return {key: inline(each) for key, each in entry.items()}

    return inline(schema)


def singular(kind: str) -> str:
    """`strategies` as `strategy`, `losses` as `loss`."""
    if kind.endswith("sses"):
        return kind[:-2]
    return f"{kind[:-3]}y" if kind.endswith("ies") else kind[:-1]


def spell(kind: str, stem: str) -> str:
    """Tasks carry the Hub's names, which have hyphens; all other names are Python's."""
    return stem.replace("_", "-") if kind == "tasks" else stem


def names(kind: str) -> list[str]:
    """The names of all parts of a kind, those of installed packages too, in the order of the alphabet. Imports none of them."""
    mine = {file.stem for file in (PACKAGE / kind).glob("[!_]*.py")}
    return [spell(kind, stem) for stem in sorted(mine | installed.stems(kind).keys())]


def summary(kind: str, name: str) -> str:
    """The first sentence of the docstring of the part's class, read without importing it. Raises LookupError without."""
    stem = name.replace("-", "_")
    file = home.file(kind, stem) if (home := _home(kind, stem)) else PACKAGE / kind / f"{stem}.py"
    try:
        body = ast.parse(file.read_text("utf-8")).body
        leaf = next(
            n for n in body if isinstance(n, ast.ClassDef) and "value" in {getattr(d, "id", "") for d in n.decorator_list}
        )
    except (SyntaxError, StopIteration) as error:
        of = f" of the package {home.package}" if home else ""
        raise LookupError(f"{file.name}{of} is broken: {str(error) or 'it holds no part'}") from error
    paragraph = (ast.get_docstring(leaf) or "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<!et al)\. ", paragraph)[0].rstrip(".") + "."


def find(kind: str, name: str) -> type[Part]:
    """The class of the part `name`. Raises LookupError with the names there are."""
    if name.endswith(".py"):
        if NAMED_BY_A_MODEL.get() and not _is_trusted(Path(name).resolve()):
            raise LookupError(f"the Python file {name} is not run because a model names it. If it is yours, set {TRUSTED}={name}")
        return _leaf(_load(Path(name)), kind)
    stem = name.replace("-", "_")
    if name in (stem, spell(kind, stem)) and stem.isidentifier() and not stem.startswith("_"):
        if _is_ours(kind, stem):
            return _leaf(importlib.import_module(f"hfrecipes.{kind}.{stem}"), kind)
        if home := _home(kind, stem):
            module = home.load(kind, stem)
            try:
                return _leaf(module, kind)
            except LookupError as error:
                raise home.broken(kind, stem, str(error.args[0])) from None
    raise LookupError(f"unknown {singular(kind)} '{name}'. {'. '.join((hint(name, names(kind)), *installed.missing()))}")


def _is_ours(kind: str, stem: str) -> bool:
    """Whether a part is one of this package. No other package is asked then: that takes longer than an answer."""
    return (PACKAGE / kind / f"{stem}.py").is_file()


def _home(kind: str, stem: str) -> installed.Home | None:
    """The package that brings a part; none where it is one of ours, or of nobody. Raises LookupError where two bring it."""
    if _is_ours(kind, stem):
        return None
    found = installed.stems(kind).get(stem, [])
    if len(found) > 1:
        both = " and ".join(home.package for home in found)
        raise LookupError(f"{spell(kind, stem)} is a name of {both}; uninstall one")
    return found[0] if found else None


@contextmanager
def named_by_a_model() -> Iterator[None]:
    """Parts that are found in this block are named by a folder of a model: a Python file is run only where a recipe named it
    before, or the environment variable `HFRECIPES_PARTS` does."""
    token = NAMED_BY_A_MODEL.set(True)
    try:
        yield
    finally:
        NAMED_BY_A_MODEL.reset(token)


def _is_trusted(path: Path) -> bool:
    asked = filter(None, os.environ.get(TRUSTED, "").split(os.pathsep))
    return path in {Path(file).resolve() for file in (*GIVEN.values(), *asked)}


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise LookupError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(f"hfrecipes_user_{path.stem}", path.resolve())
    assert spec is not None and spec.loader is not None
    if spec.name in sys.modules and sys.modules[spec.name].__file__ == str(path.resolve()):
        return sys.modules[spec.name]
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    GIVEN[spec.name] = str(path)
    spec.loader.exec_module(module)
    return module


def _leaf(module: ModuleType, kind: str) -> type[Part]:
    mine: Callable[[Any], bool] = lambda c: inspect.isclass(c) and issubclass(c, Part) and c.__module__ == module.__name__  # noqa: E731
    leaves = [cls for _, cls in inspect.getmembers(module, mine) if cls.kind == kind]
    if len(leaves) != 1:
        raise LookupError(f"{module.__file__} holds {len(leaves)} parts of {kind}; a file holds one")
    leaf: type[Part] = leaves[0]
    return leaf
