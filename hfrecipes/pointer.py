"""Pointer: which release of a registry is in production, as its file `production.json` says."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hfrecipes.errors import ModelError
from hfrecipes.folder import read_json, sha256, write_json

FILE = "production.json"
NAME = re.compile(r"v[1-9][0-9]*")


@dataclass(frozen=True)
class Pointer:
    """The `release` in production ("" before the first), the `history` of those before it, the oldest first, and when each
    release was `added` (`created`), with the sha256 of its manifest (`fingerprint`)."""

    release: str = ""
    history: tuple[str, ...] = ()
    added: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, registry: Path) -> Pointer:
        """The pointer of the registry in a folder. Raises ModelError where there is none."""
        file = registry / FILE
        if not file.is_file():
            raise ModelError(str(registry), "is not a registry", "Give a folder that releases were added to")
        try:
            values = read_json(file)
            found = cls(values["release"], tuple(values["history"]), values["releases"])
            if not all(NAME.fullmatch(name) and {*found.added[name]} >= {"created", "fingerprint"} for name in found.names):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise ModelError(str(registry), f"{FILE} is not one that a registry wrote", "Restore it from a backup") from None
        return found

    @property
    def names(self) -> set[str]:
        """Every release that it speaks of."""
        return {*self.history, *self.added, *([self.release] if self.release else [])}

    def write(self, registry: Path) -> None:
        """Take the place of the pointer in a folder; on the disk when this returns."""
        fingerprint = self.added[self.release]["fingerprint"] if self.release else ""
        added = {name: dict(facts) for name, facts in self.added.items()}
        facts = {"release": self.release, "fingerprint": fingerprint, "history": list(self.history), "releases": added}
        write_json(registry / FILE, {"format": 1, **facts})
        sync(registry)

    def with_release(self, name: str, created: str, fingerprint: str) -> Pointer:
        """The same with one more release."""
        return replace(self, added={**self.added, name: {"created": created, "fingerprint": fingerprint}})

    def promoted(self, name: str) -> Pointer:
        """`name` in production, and what is there now the last of the history; no change where it is the same."""
        if name == self.release:
            return self
        return replace(self, release=name, history=(*self.history, self.release) if self.release else self.history)

    def rolled_back(self) -> Pointer:
        """The last of the history in production, and no longer in the history."""
        return replace(self, release=self.history[-1], history=self.history[:-1])


def in_production(folder: Path) -> Path:
    """The folder of the release that a registry has in production; any other folder itself. Raises ModelError where nothing is in
    production, or what is there is not what was put there."""
    if not (folder / FILE).is_file():
        return folder
    pointer = Pointer.read(folder)
    if not pointer.release:
        raise ModelError(str(folder), "no release is in production yet", f"Write: hfrecipes promote {folder} NAME")
    release = folder / "releases" / pointer.release
    manifest = release / "manifest.json"
    if not manifest.is_file() or sha256(manifest) != pointer.added[pointer.release]["fingerprint"]:
        raise ModelError(str(release), "manifest.json is not the one that was added", f"Write: hfrecipes rollback {folder}")
    return release


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
