"""Key values: the caches of rows that are written together, in memory that ONNX Runtime reads and writes, too."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnxruntime import OrtValue


@dataclass
class Line:
    """A row that is being written: its number among the prompts, its new tokens, how many tokens its caches hold, what of its
    prompt is still to be read, and how long its source is where a decoder stands behind an encoder."""

    number: int
    tokens: list[int] = field(default_factory=list)
    cached: int = 0
    unread: deque[int] = field(default_factory=deque)
    source: int = 0
    ended: bool = False


@dataclass
class Batch:
    """Lines and their caches, values of ONNX Runtime of shape (lines, heads, positions, units): `growing` ones, padded on the
    left to `width` positions, and `fixed` ones, of the sources, padded on the right to `breadth`."""

    lines: list[Line] = field(default_factory=list)
    growing: list[Any] = field(default_factory=list)
    fixed: list[Any] = field(default_factory=list)
    width: int = 0
    breadth: int = 0

    def renewed(self, kept: Sequence[int], fresh: Sequence[tuple[Batch, int]]) -> Batch:
        """The lines at the positions `kept`, and those at positions of other batches: the batch that these are where they are all
        of one and none is kept, in the places of those that go where there are as many and all fit, else in new caches, as wide
        as they need to be. Caches that other lines share, too, are safe so: a step makes new ones before any are changed."""
        like = fresh[0][0] if fresh else self
        if not kept and all(batch is like for batch, _ in fresh) and [i for _, i in fresh] == [*range(len(like.lines))]:
            return like
        lines = [*(self.lines[i] for i in kept), *(batch.lines[i] for batch, i in fresh)]
        width, breadth = max(line.cached for line in lines), max(line.source for line in lines)
        if len(lines) == len(self.lines) and breadth <= self.breadth and width <= self.width <= 2 * width:
            for place, (batch, i) in zip(sorted({*range(len(lines))} - {*kept}), fresh, strict=True):
                self.lines[place] = batch.lines[i]
                self._put(place, batch, i)
            return self
        growing, fixed = (
            [self._empty(each, len(lines), n) for each in kind] for kind, n in ((like.growing, width), (like.fixed, breadth))
        )
        made = Batch(lines, growing, fixed, width, breadth)
        for place, (batch, i) in enumerate([*((self, i) for i in kept), *fresh]):
            made._put(place, batch, i)
        return made

    def _put(self, place: int, batch: Batch, position: int) -> None:
        """Copy the caches of the line at `place`, which lie at a position of another batch."""
        line = self.lines[place]
        for mine, theirs in zip(self.growing, batch.growing, strict=True):
            seen(mine)[place, :, self.width - line.cached :] = seen(theirs)[position, :, batch.width - line.cached :]
        for mine, theirs in zip(self.fixed, batch.fixed, strict=True):
            seen(mine)[place, :, : line.source] = seen(theirs)[position, :, : line.source]

    @staticmethod
    def _empty(like: Any, lines: int, positions: int) -> Any:
        _, heads, _, units = like.shape()
        return value_of(np.zeros((lines, heads, positions, units), np.float32))


def value_of(array: np.ndarray) -> Any:
    """An array as a value of ONNX Runtime, in the same memory."""
    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def seen(value: Any) -> np.ndarray:
    """The fp32 numbers of a value on the CPU in the same memory, to be read and changed for as long as the value lives."""
    shape = value.shape()
    held = (ctypes.c_float * int(np.prod(shape))).from_address(value.data_ptr())
    found: np.ndarray = np.ctypeslib.as_array(held).reshape(shape)
    return found
