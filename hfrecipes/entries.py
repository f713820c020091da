"""Entries: what was computed of rows once and is stored, brought along by each row in every epoch and padded in every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from hfrecipes import distributed, feature_store
from hfrecipes.feature_store import ROWS, Rows, Space, key_of

BUDGET = 512
"""Tokens, padding included, that are computed at once: more have more padding and fall out of the caches (a BERT of base size
takes 1.04 times as long with 1,024), fewer read the weights more often."""
READ = ("input_ids", "token_type_ids", "attention_mask", "position_ids")
"""What a model without a decoder reads of a row."""
Collate = Callable[[Sequence[Any]], dict[str, torch.Tensor]]


class WithEntries(TorchDataset[Any]):
    """Rows, each with its entries of `stored`."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.stored: dict[str, Rows] = {}
        self._keys: dict[tuple[str, ...], list[bytes]] = {}

    @property
    def single(self) -> Any:
        """The rows one by one, whose positions are those of the stored entries."""
        return self.rows

    def keys(self, names: tuple[str, ...]) -> list[bytes]:
        """The key of each row in the store, by those of its columns."""
        if names not in self._keys:
            rows = self.single.select_columns([name for name in names if name in self.single.column_names])
            tables = rows.with_format("arrow").iter(batch_size=ROWS)
            self._keys[names] = [key_of(*row) for each in tables for row in zip(*map(_bytes, each.columns), strict=True)]
        return self._keys[names]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Any:
        return {**self.rows[position], **self.entries(position)}

    def entries(self, position: int) -> dict[str, np.ndarray]:
        """What is stored of one row."""
        return {name: stored[position] for name, stored in self.stored.items()}


class BatchesWithEntries(WithEntries):
    """Batches of rows, each row with its entries."""

    @property
    def single(self) -> Any:
        return self.rows.rows

    def __getitem__(self, position: int) -> Any:
        batch = self.rows[position]
        if not self.stored:
            return batch
        numbers = self.rows.batches[position].tolist()
        return [{**row, **self.entries(i)} for row, i in zip(batch, numbers, strict=True)]

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of each epoch."""
        self.rows.set_epoch(epoch)


def rows_at(rows: Any, positions: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of a data set, read at once."""
    columns = rows[list(positions)]
    return [dict(zip(columns, entries, strict=True)) for entries in zip(*columns.values(), strict=True)]


def collated(collate: Collate, names: Sequence[str], left: bool) -> Collate:
    """`collate` for rows that may bring entries of these names, which it adds, padded on the side that tokens are."""

    if not names:
        return collate

    def batch(items: Sequence[Any]) -> dict[str, torch.Tensor]:
        rows = items[0] if isinstance(items[0], list) else items
        found = collate([{name: entry for name, entry in row.items() if name not in names} for row in rows])
        return found | {name: padded([row[name] for row in rows], left) for name in names if name in rows[0]}

    return batch


def padded(rows: Sequence[np.ndarray], left: bool = False) -> torch.Tensor:
    """Rows of the store as one tensor of shape (rows, longest row, units), zeros behind each (or before it); what numpy has as
    unsigned numbers of 16 bits is bf16."""
    width = max(map(len, rows))
    out = np.zeros((len(rows), width, rows[0].shape[1]), dtype=rows[0].dtype)
    for line, row in zip(out, rows, strict=True):
        line[slice(width - len(row), None) if left else slice(0, len(row))] = row
    return torch.from_numpy(out.view(np.int16)).view(torch.bfloat16) if out.dtype == np.uint16 else torch.from_numpy(out)


def numbers(states: torch.Tensor, bf16: bool) -> np.ndarray:
    """A tensor as it is stored."""
    kept = states.to(torch.bfloat16).view(torch.int16) if bf16 else states.float()
    return kept.cpu().numpy().view("uint16" if bf16 else "float32")


Compute = Callable[[Sequence[Any], Sequence[str]], Iterator[tuple[int, list[np.ndarray]]]]
"""(rows, names of spaces) -> the position of a row and what each of the spaces keeps of it, in any order"""


def bring(split: WithEntries, spaces: Mapping[str, Space], compute: Compute, columns: tuple[str, ...] = READ) -> dict[str, Rows]:
    """What the spaces keep of all rows, told apart by their `columns`. What they do not have is computed by the main process, in
    one pass for all of them."""
    keys = split.keys(columns)

    def work() -> None:
        absent = {name: set(found) for name, space in spaces.items() if (found := space.missing(keys))}
        if not absent:
            return
        every = sorted(set().union(*absent.values()))
        with feature_store.writing({name: spaces[name] for name in absent}) as write:
            for number, arrays in compute(rows_at(split.single, every), list(absent)):
                row = every[number]
                for name, array in zip(absent, arrays, strict=True):
                    if row in absent[name]:
                        write[name](keys[row], array)
        kept = [space.folder for space in spaces.values()]
        feature_store.evict(feature_store.home(), feature_store.limit(), keep=kept)

    distributed.on_main(work)
    return {name: space.open(keys) for name, space in spaces.items()}


def budgeted(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of rows of like length, as many at once as `BUDGET` tokens are."""
    held: list[int] = []
    for i in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        if held and (len(held) + 1) * lengths[held[0]] > BUDGET:
            yield held
            held = []
        held.append(i)
    if held:
        yield held


def _bytes(column: Any) -> Iterator[bytes]:
    """The numbers of each row of an Arrow column, as 64 bits each."""
    import pyarrow as pa

    whole = column.combine_chunks()
    if not (pa.types.is_list(whole.type) and pa.types.is_integer(whole.type.value_type)):
        return (np.asarray(entry, dtype=np.int64).tobytes() for entry in whole.to_pylist())
    every = whole.flatten().to_numpy(zero_copy_only=False).astype(np.int64).tobytes()
    ends = [0, *(8 * whole.value_lengths().to_numpy().cumsum()).tolist()]
    return (every[begin:end] for begin, end in pairwise(ends))
