"""Large pages: files that the system maps two megabytes at a time, so that reading here and there costs what reading on does.

Linux keeps what is written at once in one folio where the file system has large ones (ext4 from 6.16 on, XFS, Btrfs), and maps a
folio of 2 MB that lies at a multiple of 2 MB with one entry of the page table instead of 512. Among gigabytes of mapped rows the
walk through those tables is a good part of what a row costs, the more so in a virtual machine, where each step of it is a walk.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

PIECE = 8 << 20
"""Bytes that are written at once, at a multiple of as many."""


class Pieces:
    """A new file that is written piece by piece, for `pyarrow.PythonFile`."""

    def __init__(self, file: Path) -> None:
        self._file: BinaryIO = file.open("wb")
        self._held = bytearray()

    @property
    def closed(self) -> bool:
        """Whether all is written."""
        return self._file.closed

    def write(self, data: Buffer) -> int:
        """Take bytes in; they are written as soon as they make pieces."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(self._held) + len(rest) >= PIECE:
            most = PIECE - len(self._held) if self._held else len(rest) // PIECE * PIECE
            if self._held:
                self._held += rest[:most]
            self._file.write(self._held or rest[:most])
            self._held, rest = bytearray(), rest[most:]
        self._held += rest
        return size

    def tell(self) -> int:
        """How many bytes came so far."""
        return self._file.tell() + len(self._held)

    def flush(self) -> None:
        """Nothing: a piece is written when it is whole, or at the end."""

    def close(self) -> None:
        """Write what is left."""
        if not self._file.closed:
            with self._file:
                self._file.write(self._held)
