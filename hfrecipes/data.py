"""Data: where rows come from, which columns they have, how they are split, and what is checked about them.

Rows stay in Arrow files that are mapped into memory (`datasets`), so a data set may be larger than memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field
from pydantic_core import ArgsKwargs

from hfrecipes.columns import Column
from hfrecipes.duplicates import plain
from hfrecipes.errors import DataError
from hfrecipes.sources import FORMATS, check_source
from hfrecipes.traffic import text_of
from hfrecipes.value import Checked, hint, value

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@value
class Data(Checked):
    """Where the rows come from.

    `path` is a folder with a file a split (`train.jsonl`, `test.csv`, …), one file, or a data set on the Hub; `name` is a
    configuration of a Hub data set and `revision` its branch, tag or commit. `train`, `validation` and `test` name the
    splits; where there is no validation split, `validation_size` of the training rows is cut off, each class in proportion.
    Any other key says which column plays a role of the task: `label: category` reads the labels from `category`.
    `max_samples` takes that many rows of each split at random (always the same ones, in their order). `labelled` keeps the labels
    of so many training rows (of each class where rows have one) and takes the validation rows from them; an objective that learns
    from rows without a label reads the others, too. `per_class` learns from exactly that many rows of each class; where there is
    no validation split, its rows are cut from the others, at most as many again. `teacher` is a run or a checkpoint that writes
    the targets of the training rows anew, once (sequence-level distillation, Kim and Rush 2016, arXiv:1606.07947); beside
    `labelled` those of the others, and the labelled rows keep theirs. `drop_leaks` leaves out the rows of training and validation
    whose texts stand in the test split, but for case and white space. `fingerprint` is written into `recipe.yaml` by a run; where
    it stands, other rows are refused.
    """

    path: str
    name: str | None = None
    revision: str | None = None
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    validation_size: Annotated[float, Field(gt=0, lt=1)] = 0.1
    max_samples: Annotated[int, Field(gt=0)] | None = None
    labelled: Annotated[int, Field(gt=1)] | None = None
    per_class: Annotated[int, Field(gt=0)] | None = None
    teacher: str | None = None
    drop_leaks: bool = False
    fingerprint: str | None = None
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, given: Any) -> Any:
        """Accept the path alone, and gather the keys that are no field: they are roles of columns."""
        if isinstance(given, str):
            return {"path": given}
        keys = given.kwargs if isinstance(given, ArgsKwargs) else given
        if not isinstance(keys, Mapping):
            return given
        fields = [field.name for field in dataclasses.fields(cls)]
        known = {key: entry for key, entry in keys.items() if key in fields}
        roles = {key: entry for key, entry in keys.items() if key not in fields}
        if roles:
            known["columns"] = {**known.get("columns", {}), **roles}
        return ArgsKwargs(given.args, known) if isinstance(given, ArgsKwargs) else known

    def local(self) -> Path | None:
        """The file or folder on this machine, or None for a name on the Hub. `$NAME` stands for an environment variable."""
        expanded = os.path.expandvars(self.path)
        if "$" in expanded:
            name = expanded.partition("$")[2].partition("/")[0]
            raise DataError(
                "data.path", f"the environment variable {name} is not set", "Set it, or write data.path=FOLDER behind the recipe"
            )
        path = Path(expanded).expanduser()
        if path.exists():
            return path
        if self.path.startswith((".", "/", "~")) or path.suffix in FORMATS or self.path.count("/") > 1:
            raise DataError("data.path", f"there is no file or folder {self.path}", "Paths are relative to the folder you are in")
        return None

    def signature(self) -> str:
        """A hash of the source that is cheap to take: the bytes of local files, or the name and revision on the Hub."""
        local = self.local()
        if local is None:
            return f"{self.path}@{self.revision}"
        digest = hashlib.sha256()
        files = [local] if local.is_file() else sorted(f for f in local.rglob("*") if f.suffix in FORMATS)
        for file in files:
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def open_splits(data: Data) -> DatasetDict:
    """All splits of the source, mapped into memory. Raises DataError where it is missing, empty or not readable."""
    import datasets

    local = data.local()
    loudness = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # else it prints the traceback of what is explained below
    try:
        if local is not None:
            check_source(local)
        if local is not None and local.is_file():
            more = {"delimiter": "\t"} if local.suffix == ".tsv" else {}
            found = datasets.load_dataset(FORMATS[local.suffix], data_files={data.train: str(local)}, **more)
        else:
            found = datasets.load_dataset(str(local) if local else data.path, data.name, revision=data.revision)
    except DataError:
        raise
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        cause = error.__cause__ or error
        first = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        raise DataError(
            "data.path",
            f"cannot read {data.path}: {first}",
            "Give a CSV, JSON lines or Parquet file, a folder of them, or a data set on the Hub",
        ) from error
    finally:
        datasets.logging.set_verbosity(loudness)
    return found


def asked_rows(data: Data) -> Dataset:
    """The rows of a source that is to be answered: of its only split, or of the one that `data.test` names. Raises DataError
    where there is none of that name."""
    splits = open_splits(data)
    name = next(iter(splits)) if len(splits) == 1 else data.test
    if name not in splits:
        raise DataError("data", f"there is no split '{name}' in {data.path}", f"It has: {', '.join(splits)}. Write --split NAME")
    return splits[name]


def take(data: Data, splits: DatasetDict, split: str, roles: Mapping[str, Column], beside: Sequence[str] = ()) -> Dataset:
    """The rows of one split with a column for each role of the task, named like the role, and those columns of the data that are
    named in `beside`, under their own names."""
    for role in data.columns:
        if role not in roles:
            fields = [*(field.name for field in dataclasses.fields(Data)), *roles]
            raise DataError("data", f"unknown key '{role}'", hint(role, fields))
    if split not in splits:
        raise DataError("data", f"there is no split '{split}' in {data.path}", f"It has: {', '.join(splits)}")
    rows = splits[split]
    if data.max_samples is not None and data.max_samples < len(rows):
        drawn = np.random.default_rng(0).permutation(len(rows))[: data.max_samples]
        rows = rows.select(sorted(drawn.tolist()), keep_in_memory=True)
    if len(rows) == 0:
        raise DataError("data", f"the split '{split}' of {data.path} has no rows", "Give one that has")
    named = {role: data.columns.get(role, role) for role in roles}
    found = {role: name for role, name in named.items() if name in rows.column_names}
    for role, name in named.items():
        if role not in found and (roles[role].required or role in data.columns):
            raise DataError(
                f"data.{role}",
                f"there is no column '{name}' in the split '{split}' of {data.path}",
                f"It has: {', '.join(rows.column_names)}",
            )
    for role, name in found.items():
        check_column(rows, role, name, roles[role], split)
    for name in beside:
        if name not in rows.column_names:
            raise DataError(
                "data", f"there is no column '{name}' in the split '{split}' of {data.path}", hint(name, rows.column_names)
            )
    kept = rows.select_columns([*found.values(), *(name for name in beside if name not in found.values())])
    kept = kept.rename_columns({n: r for r, n in found.items() if n != r})
    if not data.drop_leaks or split == data.test or data.test not in splits:
        return kept
    held = {plain(text_of(row, roles)) for row in take(data, splits, data.test, roles)}
    texts = [plain(text_of(row, roles)) for row in kept]
    return kept.select([i for i, text in enumerate(texts) if text not in held])


def check_column(rows: Dataset, role: str, name: str, column: Column, split: str) -> None:
    """Refuse a text column that holds something else, and any column with holes."""
    import datasets
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype = str(getattr(rows.features[name], "dtype", "list"))
    if column.text and dtype not in ("string", "large_string", "string_view"):
        raise DataError(f"data.{role}", f"the column '{name}' holds {dtype}, not text", "Name a column of texts")
    values = rows.data.column(name)
    try:
        values.validate(full=True)  # a reader of JSON lines takes bytes that are no text for one
    except pa.ArrowInvalid as error:
        raise DataError(f"data.{role}", f"the column '{name}' cannot be read: {error}", "Save the file as UTF-8") from None
    empty = pc.is_null(values)
    if dtype.startswith("float"):
        empty = pc.fill_null(pc.or_(empty, pc.invert(pc.is_finite(values))), True)
    holes = pc.sum(empty).as_py() or 0
    first = f" (the first is row {pc.index(empty, True).as_py()}, counted from 0)" if holes and rows._indices is None else ""
    if dtype == "list" and isinstance(rows.features[name], datasets.List):
        holes += pc.list_flatten(values).null_count
    if holes:
        raise DataError(
            f"data.{role}",
            f"the column '{name}' has {holes} rows without a value in the split '{split}'{first}",
            "Remove those rows or fill them",
        )


def cut(rows: Dataset, size: float, seed: int, by: str | None) -> tuple[Dataset, Dataset]:
    """Rows for training and rows for validation; `by` names a column of which each value is cut in proportion."""
    import numpy as np

    if len(rows) < 2:
        raise DataError("data", "one row is too few to cut a validation split off", "Give more rows or a validation split")
    generator = np.random.default_rng(seed)
    groups = _groups(rows, by)
    held: list[int] = []
    debt = 0.0
    for key in sorted(groups):
        members = generator.permutation(groups[key])
        debt += len(members) * size
        count = min(int(debt), len(members) - 1)
        debt -= count
        held.extend(int(i) for i in members[:count])
    held = held or [int(generator.integers(len(rows)))]
    kept = sorted(set(range(len(rows))) - set(held))
    return rows.select(kept), rows.select(sorted(held))


def few(rows: Dataset, count: int, seed: int, by: str | None) -> tuple[Dataset, Dataset]:
    """`count` rows (of each value of the column `by` where one is named) that are drawn at random, and all others."""
    import numpy as np

    groups = _groups(rows, by)
    generator = np.random.default_rng(seed)
    kept = sorted(int(i) for key in sorted(groups) for i in generator.permutation(groups[key])[:count])
    return rows.select(kept), rows.select(sorted(set(range(len(rows))) - set(kept)))


def each(rows: Dataset, count: int, seed: int, by: str | None) -> tuple[Dataset, Dataset]:
    """`few` for exactly `count` rows of each class. Raises DataError where a class has fewer, or rows have no class."""
    if by is None:
        raise DataError("data.per_class", "these rows have not one class each", "Write `labelled` or `max_samples`")
    short = {key: len(found) for key, found in _groups(rows, by).items() if len(found) < count}
    if short:
        name, there = min(short.items(), key=lambda entry: entry[1])
        what = f"the class '{name}' has {there} rows, fewer than {count}"
        raise DataError("data.per_class", what, f"Write {there} or fewer, or give more rows of it")
    return few(rows, count, seed, by)


def some(rows: Dataset, data: Data, most: int, seed: int, by: str | None) -> Dataset:
    """Validation rows: the share of `rows` that the data asks for, but at most `most`."""
    share = min(data.validation_size, most / len(rows))
    return cut(rows, share, seed, by)[1] if share < 1 and len(rows) > 1 else rows


def _groups(rows: Dataset, by: str | None) -> dict[str, list[int]]:
    """The positions of rows with each value of the column `by`, or all of them."""
    groups: dict[str, list[int]] = {}
    for index, key in enumerate(map(str, rows[by]) if by else [""] * len(rows)):
        groups.setdefault(key, []).append(index)
    return groups


def unlabelled(rows: Dataset, column: str) -> Dataset:
    """Rows without what is in a column."""
    return rows.map(lambda _: {column: None}, features=rows.features, desc="unlabelled rows")


def fingerprint(*splits: Dataset) -> str:
    """sha256 over the rows as JSON lines: the same rows in the same order give the same text everywhere."""
    digest = hashlib.sha256()
    for rows in splits:
        for row in rows:
            digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        digest.update(b"\n")
    return digest.hexdigest()
