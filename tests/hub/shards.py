"""Shards that the Xet client leaves in a local store: which Xet hash has the file of a sha256."""

from __future__ import annotations

import struct
from pathlib import Path

ENTRY = 48
"""Bytes of the header of a shard and of every entry in it."""
VERIFIED, WITH_METADATA = 1 << 31, 1 << 30


def xet_hashes(folder: Path) -> dict[str, str]:
    """sha256 to Xet hash, of every file in the shards below a folder."""
    found: dict[str, str] = {}
    for shard in sorted(folder.rglob("*.mdb")):
        found |= _files(shard.read_bytes())
    return found


def _files(shard: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    place = ENTRY
    while shard[place : place + 32] not in (b"\xff" * 32, b""):
        flags, entries = struct.unpack_from("<II", shard, place + 32)
        name = _hexadecimal(shard[place : place + 32])
        place += ENTRY * (1 + entries * (2 if flags & VERIFIED else 1))
        if flags & WITH_METADATA:
            found[_hexadecimal(shard[place : place + 32])] = name
            place += ENTRY
    return found


def _hexadecimal(digest: bytes) -> str:
    """A hash as Xet writes it: four numbers of 64 bits."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", digest))
