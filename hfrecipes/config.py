"""Config: YAML to recipe and back. The only module that knows YAML."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from hfrecipes.errors import RecipeError
from hfrecipes.part import Part, find, json_schema, names
from hfrecipes.value import adapter

T = TypeVar("T", bound=Part)


PLAIN = "Write keys, lists, texts and numbers alone, as in the recipes that come with the library"
ALLOWED = "What may stand there is in `hfrecipes schema`"
LARGEST, MOST, DEEPEST = 1 << 17, 20_000, 40
"""How many characters and values a recipe can have, and how many lists and mappings inside one another."""
NOT_MEANT = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
NO_TEXT = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads `5e-3` as a number and `no` as a word, as people mean them (YAML 1.1 wants `5.0e-3` and takes `no`
    for false; YAML 1.2 does not), a date as text, and refuses a key twice and a mapping that is made from several."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in NOT_MEANT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in [str(key.value) for key, _ in node.value]:
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, entry in node.value:
            if key.tag == "tag:yaml.org,2002:merge" and not isinstance(entry, yaml.MappingNode):
                raise yaml.constructor.ConstructorError(None, None, "`<<` takes one mapping", node.start_mark)
        super().flatten_mapping(node)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$|^[-+]?\.\d+[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse(text: str, where: str) -> Any:
    """One YAML document. Raises RecipeError where it is none, or would become more values than a recipe has."""
    try:
        found = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        said = str(getattr(error, "problem", None) or error).strip().splitlines()[0]
        raise RecipeError(f"{where}{line}", f"is not valid YAML: {said}", PLAIN) from None
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:  # a tag over what is not of its type
        said = "it is nested too deeply" if isinstance(error, RecursionError) else "a value is not of its type"
        raise RecipeError(where, f"is not valid YAML: {said}", PLAIN) from None
    _check_values(found, where)
    return found


def _check_values(values: Any, where: str) -> None:
    """Refuse what no recipe holds: more values than `MOST` (an anchor may stand for many), nested too deeply, or texts that no
    file can hold."""
    left, count = [(values, 0)], 0
    while left:
        entry, depth = left.pop()
        count += 1
        if count > MOST or depth > DEEPEST:
            raise RecipeError(where, "holds more values than a recipe has, or lists in too many lists", PLAIN)
        if isinstance(entry, dict):
            left += [(each, depth + 1) for pair in entry.items() for each in pair]
        elif isinstance(entry, (list, tuple, set)):
            left += [(each, depth + 1) for each in entry]
        elif isinstance(entry, str):
            if found := NO_TEXT.search(entry):
                raise RecipeError(where, f"holds {found[0]!r}, which is no character of a text", "Take it out")
        elif isinstance(entry, int) and abs(entry) >> 63:
            raise RecipeError(where, "holds a whole number that no computer counts to", "Write a smaller one")
        elif not isinstance(entry, (int, float, type(None))):
            raise RecipeError(where, f"holds {str(entry)!r:.40}, a {type(entry).__name__}", "Write it as text, in quotes")


def read(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise RecipeError(
            str(path), "there is no such recipe", "Paths are relative to the folder you are in; `hfrecipes init DATA` writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), f"cannot be read: {error}", "Give a YAML file in UTF-8") from None
    if len(text) > LARGEST:
        raise RecipeError(str(path), f"has more than {LARGEST} characters", "Give a recipe")
    values = parse(text, str(path))
    if not isinstance(values, dict):
        raise RecipeError(str(path), "is not a recipe", "A recipe is a mapping that starts with `recipe:`")
    return values


BY_PATH = ("data", "model")
"""Blocks that may be written as their path alone."""


def override(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`values` with each `key.key=value` set; a number in the path is a position in a list."""
    changed = json.loads(json.dumps(values))
    for text in overrides:
        path, equals, entry = text.partition("=")
        if not equals:
            raise RecipeError(text, "is not an override", "Write key.key=value")
        keys = path.split(".")
        if keys[0] in BY_PATH and len(keys) > 1 and isinstance(changed.get(keys[0]), str):
            changed[keys[0]] = {"path": changed[keys[0]]}
        changed = _put(changed, keys, parse(entry, text), text)
    return dict(changed)


def _put(holder: Any, path: list[str], entry: Any, text: str) -> Any:
    """`holder` with `entry` at `path`; a name on the way (`strategy: full`) becomes a name with options."""
    key, rest = path[0], path[1:]
    if isinstance(holder, list):
        if not key.isdigit() or int(key) >= len(holder):
            raise RecipeError(text, f"'{key}' is no position in a list of {len(holder)}", "Positions start at 0")
        items = list(holder)
        items[int(key)] = _put(items[int(key)], rest, entry, text) if rest else entry
        return items
    if not isinstance(holder, dict):
        holder = {} if holder is None or str(holder) == key else {str(holder): {}}
    return {**holder, key: _put(holder.get(key), rest, entry, text) if rest else entry}


def build(kind: type[T], values: Mapping[str, Any]) -> T:
    """The recipe that a mapping describes. Raises RecipeError: where, what, and what there is instead."""
    if not isinstance(values.get("recipe"), str):
        raise RecipeError("recipe", "the key 'recipe' is missing", f"Write `recipe:` and one of: {', '.join(names(kind.kind))}")
    family = values["recipe"]
    rest = {key: entry for key, entry in values.items() if key != "recipe"}
    try:
        made = kind.choose({family: rest})
    except pydantic.ValidationError as error:
        raise _explain(error.errors(include_url=False)) from None
    except ValueError as error:
        what, _, instead = str(error).partition(". ")
        raise RecipeError("recipe", what, instead or ALLOWED) from None
    assert isinstance(made, kind)
    return made


def named(kind: type[T], text: str, where: str) -> T:
    """The part that a text names, alone or with options in YAML. Raises RecipeError: `where`, what, and what there is instead."""
    try:
        made: T = adapter(kind).validate_python(parse(text, where))
    except pydantic.ValidationError as error:
        raise _explain([{**each, "loc": (where, *each["loc"])} for each in error.errors(include_url=False)]) from None
    return made


def _explain(errors: Sequence[Any]) -> RecipeError:
    first = errors[0]
    where = ".".join(str(step) for step in first["loc"])
    what, _, instead = str(first["msg"]).partition(". ")
    what = "is missing" if first["type"] == "missing" or what == "Field required" else what.removeprefix("Value error, ")
    what = re.sub(r"^Input should be", "should be", what)
    what = re.sub(r"a dictionary or an instance of \w+", "a mapping of its keys", what)
    if what.startswith("should be"):
        what += f", not {first['input']!r:.80}"
    more = f" ({len(errors) - 1} more after it)" if len(errors) > 1 else ""
    usual = f"Write `{first['loc'][-1]}: …`" if what == "is missing" and first["loc"] else ALLOWED
    return RecipeError(where, what, (instead or usual) + more)


def dump(part: Any) -> Any:
    """A value as plain YAML types: a part without options is its name, defaults are left out."""
    if isinstance(part, Mapping):
        return {key: dump(entry) for key, entry in part.items()}
    if isinstance(part, (list, tuple)):
        return [dump(entry) for entry in part]
    if not dataclasses.is_dataclass(part):
        return part
    options = {}
    for field in dataclasses.fields(part):
        entry = dump(getattr(part, field.name))
        if entry != _default(field):
            options[field.name] = entry
    if not isinstance(part, Part) or part.kind == "recipes":
        return options
    return {part.name: options} if options else part.name


def _default(field: dataclasses.Field[Any]) -> Any:
    return dump(field.default if field.default_factory is dataclasses.MISSING else field.default_factory())


def to_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in their own order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=110)


def schema(kind: type[Part]) -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of every recipe of this kind, for an editor's completion."""
    found: list[Any] = []
    for name in names(kind.kind):
        leaf = json_schema(find(kind.kind, name))
        leaf["properties"] = {"recipe": {"const": name}, **leaf["properties"]}
        leaf["required"] = ["recipe", *leaf.get("required", [])]
        found.append(leaf)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hfrecipes recipe"}
    return {**head, "oneOf": found}
