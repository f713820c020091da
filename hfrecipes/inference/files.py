"""Files: answers to all rows of a file, a folder or a data set on the Hub, in shards, so that a job that was cut short goes on.

Neither the rows nor the answers are ever in memory as a whole: rows come from a mapped file, and answers go to a file a shard.
Under a launcher each process takes its share of the shards.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pydantic import TypeAdapter
from tqdm import tqdm

from hfrecipes import distributed
from hfrecipes.data import Data, asked_rows
from hfrecipes.errors import UserError
from hfrecipes.folder import read_json, write_json

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.inference.predictor import Predictor

SHARD = 10_000
"""Rows a shard."""
ENDINGS = (".parquet", ".jsonl", ".csv")
PREFIX = "predicted"


def predict_file(predictor: Predictor, data: Data, out: Path, shard: int = SHARD) -> int:
    """Write the rows of `data` with their answers to `out` (Parquet, JSON lines or CSV, by its ending), and say how many.

    An answer with fields becomes the columns `predicted_label`, `predicted_score`, …, without the scores of all labels; any
    other the column `predicted`. Shards lie in `OUT.parts` until all are there. Raises UserError where that folder is of another
    job, and DataError where the task cannot read the rows.
    """
    if out.suffix not in ENDINGS:
        raise UserError("--out", f"{out} has the ending '{out.suffix}'", f"One of: {', '.join(ENDINGS)}")
    rows = asked_rows(data)
    parts = out.with_name(f"{out.name}.parts")
    distributed.on_main(lambda: _begin(parts, predictor, data, rows, shard))
    count = -(-len(rows) // shard)
    for number in tqdm(range(distributed.rank(), count, distributed.processes()), desc="shards", disable=None):
        part = parts / f"{number:06}.parquet"
        if not part.exists():
            table = _answered(predictor, data.columns, rows.select(range(number * shard, min(len(rows), (number + 1) * shard))))
            pa.parquet.write_table(table, part.with_suffix(".tmp"))
            os.replace(part.with_suffix(".tmp"), part)
    distributed.wait()
    distributed.on_main(lambda: _join([parts / f"{number:06}.parquet" for number in range(count)], out))
    distributed.on_main(lambda: shutil.rmtree(parts))
    return len(rows)


def _begin(parts: Path, predictor: Predictor, data: Data, rows: Dataset, shard: int) -> None:
    """Make the folder of the shards, or go on in it where it is of this very job."""
    local = data.local()
    stamp = local.stat() if local is not None and local.is_file() else None
    source = [data.path, dict(data.columns), len(rows), *([stamp.st_size, stamp.st_mtime_ns] if stamp else [])]
    job = {"model": predictor.fingerprint, "data": source, "rows a shard": shard}
    parts.mkdir(parents=True, exist_ok=True)
    file = parts / "job.json"
    before = read_json(file) if file.is_file() else job
    if changed := [name for name, entry in job.items() if before[name] != entry]:
        raise UserError(
            str(parts), f"holds shards of another job ({', '.join(changed)} changed)", "Delete it, or name another file"
        )
    write_json(file, job)


def _answered(predictor: Predictor, columns: Mapping[str, str], rows: Dataset) -> pa.Table:
    given = rows.to_list()
    named = {columns.get(role, role): role for role in predictor.task.columns}
    asked = [{named[name]: entry for name, entry in row.items() if name in named} for row in given]
    plain = TypeAdapter(predictor.task.answers)
    found = [
        {**row, **_columns(plain.dump_python(answer, mode="json"))} for row, answer in zip(given, predictor(asked), strict=True)
    ]
    return pa.Table.from_pylist(found)


def _columns(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        return {PREFIX: answer}
    return {f"{PREFIX}_{name}": entry for name, entry in answer.items() if not isinstance(entry, dict)}


def _join(parts: list[Path], out: Path) -> None:
    """One file of all shards, whole or not at all."""
    schema = pa.unify_schemas([pa.parquet.read_schema(part) for part in parts], promote_options="permissive")
    fresh = out.with_name(f".{out.name}.tmp")

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            yield pa.parquet.read_table(part).cast(schema)

    writers = {".parquet": pa.parquet.ParquetWriter, ".csv": pa.csv.CSVWriter}
    if out.suffix in writers:
        with writers[out.suffix](fresh, schema) as writer:
            for table in tables():
                writer.write_table(table)
    else:
        with fresh.open("w", encoding="utf-8") as stream:
            for table in tables():
                stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
    os.replace(fresh, out)
