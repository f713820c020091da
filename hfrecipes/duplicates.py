"""Duplicates: texts of one split that stand in another, to the letter or nearly.

Near duplicates are found by MinHash (Broder 1997) of runs of five characters, in bands of locality-sensitive hashing, and each
pair that shares a band is then compared exactly: the similarity that is told is the true one (Jaccard), not the estimate.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHINGLE = 5
PERMUTATIONS, BANDS = 64, 16
PRIME = (1 << 31) - 1
MOST_PAIRS = 50
"""Pairs that are compared for one text."""


@dataclass(frozen=True)
class Pair:
    """A text of the one split (`here`) that is like one of the other (`there`), by their positions; 1 is equal but for case and
    white space."""

    here: int
    there: int
    similarity: float


def plain(text: str) -> str:
    """A text without case, and with one blank for all white space."""
    return re.sub(r"\s+", " ", text).strip().casefold()


def duplicates(here: Sequence[str], there: Sequence[str], similarity: float) -> list[Pair]:
    """For each text of `here` the likest one of `there`, where one is at least that similar."""
    ours, theirs = [plain(text) for text in here], [plain(text) for text in there]
    first = {text: i for i, text in reversed(list(enumerate(theirs)))}
    found = [Pair(i, first[text], 1.0) for i, text in enumerate(ours) if text in first]
    if similarity < 1:
        equal = {pair.here for pair in found}
        found += _near([(i, text) for i, text in enumerate(ours) if i not in equal], theirs, similarity)
    return sorted(found, key=lambda pair: (-pair.similarity, pair.here))


def _near(ours: Sequence[tuple[int, str]], theirs: Sequence[str], similarity: float) -> list[Pair]:
    tables: list[dict[bytes, list[int]]] = [defaultdict(list) for _ in range(BANDS)]
    for j, signature in enumerate(map(_signature, theirs)):
        for table, band in zip(tables, np.split(signature, BANDS), strict=True):
            table[band.tobytes()].append(j)
    found = []
    for i, text in ours:
        bands = np.split(_signature(text), BANDS)
        near = {j for table, band in zip(tables, bands, strict=True) for j in table.get(band.tobytes(), ())[:MOST_PAIRS]}
        likest = max(((jaccard(text, theirs[j]), j) for j in near), default=(0.0, -1))
        if likest[0] >= similarity:
            found.append(Pair(i, likest[1], likest[0]))
    return found


def jaccard(one: str, other: str) -> float:
    """The share of the runs of characters of both texts that both have."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def shingles(text: str) -> set[str]:
    """All runs of `SHINGLE` characters of a text; a shorter text is one of its own."""
    return {text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))}


_DRAWN = np.random.default_rng(0).integers(1, PRIME, size=(2, PERMUTATIONS, 1), dtype=np.int64)


def _signature(text: str) -> np.ndarray:
    """The least hash of a text's shingles under each of `PERMUTATIONS` permutations."""
    hashed = np.array([zlib.crc32(piece.encode("utf-8", "surrogatepass")) % PRIME for piece in shingles(text)], dtype=np.int64)
    least: np.ndarray = ((_DRAWN[0] * hashed + _DRAWN[1]) % PRIME).min(axis=1)
    return least
