"""Recipes and data sets with a mistake in them, drawn by hypothesis."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.conftest import sentiment

RECIPE: dict[str, Any] = {
    "recipe": "bert",
    "task": {"text-classification": {"max_length": 32}},
    "data": {"path": "", "validation_size": 0.2, "max_samples": 40, "label": "label"},
    "model": {"path": "", "config": {"hidden_dropout_prob": 0.1}},
    "strategy": {"gradual_unfreezing": {"epochs_per_stage": 1, "decay": 0.9}},
    "optimizer": {"adamw": {"beta1": 0.9}},
    "schedule": "linear",
    "objective": "supervised",
    "train": {"learning_rate": 5e-3, "num_train_epochs": 1, "per_device_train_batch_size": 8, "bf16": False},
    "compress": [{"heads": {"keep": 0.5}}],
    "evaluate": ["accuracy", "f1"],
    "early_stopping": 2,
    "export": ["cpu"],
    "check": ["parity", {"quality": {"max_drop": 0.1}}, {"latency": {"p95_ms": 20}}],
    "card": {"license": "apache-2.0", "limits": "None are known."},
    "frontier": {"model.layers": [1, 2]},
    "pick": {"max_drop": 0.1},
    "before": True,
    "seed": 0,
}
"""A recipe with most blocks."""

NUMBERS = st.sampled_from([0, -1, 10**9, 10**30, 1.5, 1e308, math.nan, math.inf, -math.inf, True, False])
TEXTS = st.sampled_from(
    [
        "",
        " ",
        "x",
        "\n",
        "a\0b",
        "\ud800",
        "../..",
        "/",
        "~",
        "$HOME/x",
        "$NOT_SET",
        "a/b",
        "a/b/c",
        "package:",
        "package:..",
        "no.py",
    ]
) | st.text(max_size=8)
NESTED = st.sampled_from([None, [], {}, [[]], {"a": {"b": {"c": []}}}, [None], {"": None}, ["full", "lora"], {"full": 1}, {1: 2}])
JUNK = NUMBERS | TEXTS | NESTED
"""What stands where something else should."""


def places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in nested ones."""
    held = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [path, *(place for key, entry in held for place in places(entry, (*path, key)))]


def changed(values: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """Values in which one place is another."""
    if not path:
        return change(values)
    made = copy.copy(values)
    made[path[0]] = changed(made[path[0]], path[1:], change)
    return made


def misspelt(draw: Callable[[st.SearchStrategy[Any]], Any], name: str) -> str:
    """A name with a letter too many, too few, or another."""
    at = draw(st.integers(0, max(0, len(name) - 1)))
    return draw(
        st.sampled_from([name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], name.upper(), name[:at] + "é" + name[at + 1 :]])
    )


@st.composite
def recipes(draw: Callable[[st.SearchStrategy[Any]], Any], base: dict[str, Any]) -> Any:
    """The values of a recipe with one to three mistakes."""
    values = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        if not isinstance(values, dict) or not values:
            return values
        path = draw(st.sampled_from(places(values)[1:] or [()]))
        kind = draw(st.sampled_from(["junk", "junk", "unknown", "misspelt", "gone", "wrapped"]))
        if kind == "junk":
            values = changed(values, path, lambda _: draw(JUNK))
        elif kind == "wrapped":
            values = changed(
                values, path, lambda entry: draw(st.sampled_from([[entry], {"a": entry}, [entry, entry], str(entry)]))
            )
        else:
            holder = path[:-1] if path else ()

            def change(entry: Any, kind: str = kind, path: tuple[Any, ...] = path) -> Any:
                if not isinstance(entry, dict):
                    return draw(JUNK)
                if kind == "unknown":
                    return {**entry, draw(st.sampled_from(["trian", "x", "", "config", "0"])): draw(JUNK)}
                name = misspelt(draw, str(path[-1])) if kind == "misspelt" else ""
                return {
                    name if key == path[-1] else key: each for key, each in entry.items() if kind == "misspelt" or key != path[-1]
                }

            values = changed(values, holder, change)
    return values


def as_yaml(values: Any) -> str:
    """Any values as YAML, with escapes for what a file cannot hold."""
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=False))


SCRAPS = [
    *(
        b"\0",
        b"\xff\xfe",
        b"\t",
        b"!!python/object/apply:os.getcwd []",
        b"&a [*a]",
        b"*b",
        b"{",
        b"[",
        b"- ",
        b": ",
        b"? ",
        b"'",
        b'"',
    ),
    *(
        b"<<: 1",
        b"%YAML 3.0",
        b"---\n",
        b"!!binary a",
        b"!!timestamp x",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"|",
        b"[" * 400,
        b"\r",
    ),
]


@st.composite
def texts(draw: Callable[[st.SearchStrategy[Any]], Any], whole: bytes) -> bytes:
    """A file of which some bytes are others, or missing."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(whole)))
        end = start + draw(st.sampled_from([0, 0, 1, 5, 10**9]))
        whole = whole[:start] + draw(st.sampled_from([b"", *SCRAPS]) | st.binary(max_size=6)) + whole[end:]
    return whole


CELLS = st.sampled_from(
    [
        None,
        "",
        " ",
        "a\0b",
        "\ud800",
        0,
        10**30,
        -1,
        1.5,
        math.nan,
        math.inf,
        True,
        [],
        ["a"],
        [1, "a"],
        [[]],
        {},
        {"a": 1},
        "x" * 9999,
    ]
) | st.text(max_size=8)
ROWS = [dict(row) for row in sentiment(24)]


@st.composite
def rows(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[Any]:
    """Rows of two columns with one to four mistakes."""
    found: list[Any] = [dict(row) for row in ROWS[: draw(st.sampled_from([1, 2, 24, 24, 24]))]]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["cell", "cell", "column", "gone", "renamed", "row", "more"]))
        at, name = draw(st.integers(0, len(found) - 1)), draw(st.sampled_from(["text", "label"]))
        some = found if kind in ("column", "renamed") else found[at : at + 1]
        for row in some:
            if not isinstance(row, dict):
                continue
            if kind in ("cell", "column"):
                row[name] = draw(CELLS)
            elif kind == "gone":
                row.pop(name, None)
            elif kind == "renamed" and name in row:
                row[draw(st.sampled_from(["Text", "", "id", "labels"]))] = row.pop(name)
            elif kind == "more":
                row[draw(st.sampled_from(["id", "", "text ", "idx"]))] = draw(CELLS)
        if kind == "row":
            found[at] = draw(CELLS)
    return found


def as_lines(found: list[Any]) -> bytes:
    """Rows as JSON lines, with escapes for what a file cannot hold."""
    return "".join(json.dumps(row) + "\n" for row in found).encode()


def as_csv(found: list[Any]) -> bytes:
    """Rows as CSV in which nothing is quoted."""
    lines = [",".join(str(entry) for entry in row.values()) if isinstance(row, dict) else str(row) for row in found]
    return "\n".join(["text,label", *lines]).encode("utf-8", "replace")


def write(folder: Path, name: str, content: bytes) -> Path:
    """A new file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name
