"""Feature store: what a frozen model makes of texts, computed once and kept in Arrow files that are mapped into memory.

A space is a folder for all that one computation gives: the same weights, the same number of blocks, the same precision. Rows
are found by a key, so that recipes, runs and processes share them. A file appears whole or not at all and is never changed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hfrecipes.errors import RunError
from hfrecipes.large_pages import Pieces

if TYPE_CHECKING:
    import pyarrow as pa

KEY = 16
"""Bytes of a key."""
ROWS = 1024
"""Rows that are written together."""
WHERE = "HFRECIPES_FEATURES"
LIMIT = "HFRECIPES_FEATURES_GB"


def home() -> Path:
    """`$HFRECIPES_FEATURES`, or a folder in the cache of the user."""
    return Path(os.environ.get(WHERE) or Path.home() / ".cache/hfrecipes/features")


def limit() -> int:
    """How many bytes the store may take: `$HFRECIPES_FEATURES_GB`, 20 where it is not set."""
    return int(float(os.environ.get(LIMIT) or 20) * 1e9)


def key_of(*parts: bytes) -> bytes:
    """The key of what some bytes say together."""
    framed = b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "little"), part)])
    return hashlib.blake2b(framed, digest_size=KEY).digest()


@dataclass(frozen=True)
class Space:
    """One folder of the store. Rows are arrays of shape (length, `width`) of 16-bit or 32-bit numbers, as `dtype` says."""

    folder: Path
    width: int
    dtype: str

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """The positions of the keys that have no row yet; of equal keys the first."""
        wanted = _array(keys)
        _, first = np.unique(wanted, return_index=True)
        first.sort()
        found: list[int] = first[_Index(self.folder).find(wanted[first]) < 0].tolist()
        return found

    def add(self, rows: Iterable[tuple[bytes, np.ndarray]]) -> None:
        """Write rows as one new file. Raises RunError where the disk is full; nothing is left behind then."""
        with self.writing() as write:
            for row in rows:
                write(*row)

    @contextmanager
    def writing(self) -> Iterator[Callable[[bytes, np.ndarray], None]]:
        """Inside, what is given writes a row into one new file, which is there at the end. Raises RunError where the disk is
        full; nothing is left behind then."""
        import pyarrow as pa

        self.folder.mkdir(parents=True, exist_ok=True)
        made = self.folder / f".{uuid.uuid4().hex}"
        try:
            with pa.PythonFile(Pieces(made), "w") as sink, pa.ipc.new_file(sink, self._schema()) as writer:
                held: list[tuple[bytes, np.ndarray]] = []

                def write(key: bytes, row: np.ndarray) -> None:
                    held.append((key, row))
                    if len(held) == ROWS:
                        writer.write_batch(self._batch(held))
                        held.clear()

                yield write
                if held:
                    writer.write_batch(self._batch(held))
            made.rename(self.folder / f"{made.name[1:]}.arrow")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RunError(str(self.folder), "the disk is full", f"Free some, or set {WHERE} to a folder elsewhere") from error
        finally:
            made.unlink(missing_ok=True)

    def open(self, keys: Sequence[bytes]) -> Rows:
        """The rows of these keys, in their order. Raises RunError where one is missing."""
        index = _Index(self.folder)
        places = index.find(_array(keys))
        if absent := int((places < 0).sum()):
            raise RunError(str(self.folder), f"{absent} of {len(keys)} rows are not in the store", "Run the recipe again")
        used = np.unique(index.file[places])
        for number in used:
            os.utime(index.files[number])
        mapped = [_mapped(index.files[number], self.dtype, self.width) for number in used]
        arrays = [array for parts, _ in mapped for array in parts]
        begins = np.cumsum([0, *(len(parts) for parts, _ in mapped)])
        where = np.empty((len(places), 3), dtype=np.int64)
        for i, number in enumerate(used):
            here = index.file[places] == number
            where[here] = mapped[i][1][index.row[places[here]]]
            where[here, 0] += begins[i]
        return Rows(arrays, where)

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        kind = pa.from_numpy_dtype(np.dtype(self.dtype))
        return pa.schema([("key", pa.binary(KEY)), ("values", pa.large_list(kind))])

    def _batch(self, rows: Sequence[tuple[bytes, np.ndarray]]) -> pa.RecordBatch:
        import pyarrow as pa

        flat = [np.ascontiguousarray(array, dtype=self.dtype).reshape(-1) for _, array in rows]
        offsets = np.concatenate([[0], np.cumsum([len(array) for array in flat])])
        values = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(np.concatenate(flat)))
        return pa.record_batch([pa.array([key for key, _ in rows], pa.binary(KEY)), values], schema=self._schema())


@dataclass(frozen=True)
class Rows:
    """Rows of the store as views of the mapped files: nothing is copied before it is used. `where` has, for each row, its array,
    its first line in it and the one behind its last."""

    arrays: list[np.ndarray]
    where: np.ndarray

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, position: int) -> np.ndarray:
        """The row at a position, of shape (length, width)."""
        part, begin, end = self.where[position].tolist()
        found: np.ndarray = self.arrays[part][begin:end]
        return found


@contextmanager
def writing(spaces: Mapping[str, Space]) -> Iterator[dict[str, Callable[[bytes, np.ndarray], None]]]:
    """Inside, what is given for each name writes a row into a new file of that space."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(space.writing()) for name, space in spaces.items()}


def evict(folder: Path, most: int, keep: Collection[Path] = ()) -> list[Path]:
    """Delete the files that were used the longest ago until the store takes at most `most` bytes; `keep` are spaces whose files
    stay. Gives what was deleted."""
    files = sorted(folder.glob("*/*.arrow"), key=lambda file: file.stat().st_mtime)
    taken = sum(file.stat().st_size for file in files)
    gone = []
    for file in files:
        if taken <= most:
            break
        if file.parent not in keep:
            taken -= file.stat().st_size
            file.unlink()
            gone.append(file)
    for space in folder.glob("*/"):
        if not any(space.iterdir()):
            space.rmdir()
    return gone


def sizes(folder: Path) -> list[tuple[str, int, float]]:
    """Each space with its bytes and the days since it was used."""
    found = []
    for space in sorted(folder.glob("*/")):
        stats = [file.stat() for file in space.glob("*.arrow")]
        if stats:
            days = (time.time() - max(stat.st_mtime for stat in stats)) / 86400
            found.append((space.name, sum(stat.st_size for stat in stats), days))
    return found


class _Index:
    """Where the row of each key lies: its file, and its number in it. Keys are sorted; of equal ones the first counts."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.arrow"))
        found = [_keys(file) for file in self.files]
        lengths = [len(keys) for keys in found]
        keys = np.concatenate([*found, np.empty(0, dtype=f"S{KEY}")])
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]
        self.file = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[order]
        self.row = np.concatenate([*(np.arange(n, dtype=np.int32) for n in lengths), np.empty(0, dtype=np.int32)])[order]

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """The position of each wanted key in the index; -1 where it has none."""
        if not len(self.keys):
            return np.full(len(wanted), -1)
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[places] == wanted, places, -1)


def _array(keys: Sequence[bytes]) -> np.ndarray:
    """Keys as one array. Its order drops NULs at the end of a key, which is no loss: all keys have one length."""
    return np.frombuffer(b"".join(keys), dtype=f"S{KEY}")


def _keys(file: Path) -> np.ndarray:
    """The keys of a file, in its order."""
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        reader = pa.ipc.open_file(source)
        parts = [reader.get_batch(i).column("key") for i in range(reader.num_record_batches)]
        return np.concatenate([np.frombuffer(part.buffers()[1], dtype=f"S{KEY}")[: len(part)] for part in parts])


def _mapped(file: Path, dtype: str, width: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The values of a file, an array a batch, and for each row its batch, its first line and the one behind its last."""
    import pyarrow as pa

    reader = pa.ipc.open_file(pa.memory_map(str(file)))
    parts, places = [], []
    for i in range(reader.num_record_batches):
        column = reader.get_batch(i).column("values")
        parts.append(column.values.to_numpy(zero_copy_only=True).view(dtype).reshape(-1, width))
        offsets = column.offsets.to_numpy() // width
        places.append(np.stack([np.full(len(offsets) - 1, i), offsets[:-1], offsets[1:]], axis=1))
    return parts, np.concatenate(places)
