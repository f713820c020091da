"""Sources: files of rows, looked at before a library reads them."""

from __future__ import annotations

import mmap
from pathlib import Path

from hfrecipes.errors import DataError

FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".txt": "text"}


def check_source(place: Path) -> None:
    """Refuse a file, or a folder with a file, that is empty, of no format, or has a row of JSON that is null."""
    if place.is_file() and place.suffix not in FORMATS:
        raise DataError("data.path", f"{place} has the ending '{place.suffix}'", f"Readable are: {', '.join(FORMATS)}")
    for file in [place] if place.is_file() else sorted(place.iterdir()):
        if file.suffix in FORMATS and file.is_file():
            if not file.stat().st_size:
                raise DataError("data.path", f"{file} is empty", "Write rows into it, or take it out")
            if FORMATS[file.suffix] == "json" and _has_null(file):
                raise DataError("data.path", f"{file} has a row that is null", "Take it out")


def _has_null(file: Path) -> bool:
    """Whether a line is null. Arrow 26 ends the process with a segmentation fault where one comes first."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as rows:
        return rows[:4096].lstrip().startswith(b"null") or rows.find(b"\nnull") >= 0
