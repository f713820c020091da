"""Files in pieces: the same bytes, written in large pieces at multiples of their size."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hfrecipes import large_pages
from hfrecipes.large_pages import Pieces


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes that files are asked to write, with pieces of eight bytes."""
    sizes: list[int] = []

    class Noted(io.FileIO):
        def write(self, data: Any) -> int:
            sizes.append(len(data))
            return super().write(data)

    monkeypatch.setattr(large_pages, "PIECE", 8)
    monkeypatch.setattr(Path, "open", lambda self, mode: Noted(self, mode))
    return sizes


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ([3, 3, 3, 3], [8, 4]),
        ([3, 5, 1], [8, 1]),
        ([30], [24, 6]),
        ([5, 30], [8, 24, 3]),
        ([8, 8], [8, 8, 0]),
        ([], [0]),
    ],
)
def test_bytes_are_written_in_pieces_at_multiples_of_their_size(
    given: list[int], sizes: list[int], written: list[int], tmp_path: Path
) -> None:
    whole = bytes(range(sum(given)))
    file, told = Pieces(tmp_path / "x"), 0
    for size in given:
        assert file.write(whole[told : told + size]) == size
        told += size
        assert file.tell() == told and not file.closed
    file.flush()
    file.close()
    file.close()
    assert file.closed and written == sizes
    assert (tmp_path / "x").read_bytes() == whole


@pytest.mark.parametrize("size", [1000, large_pages.PIECE + 1])
def test_what_the_system_says_of_a_full_disk_comes_through_pyarrow(size: int) -> None:
    with pytest.raises(OSError) as refused, pa.PythonFile(Pieces(Path("/dev/full")), "w") as sink:
        sink.write(bytes(size))
    assert refused.value.errno == errno.ENOSPC
