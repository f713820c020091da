"""Releases: what a place that holds them can do, be it a registry or a repository on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Release:
    """One release: its name, such as v2, when it was `created` (ISO 8601), its `fingerprint` (the sha256 of its manifest.json),
    and whether it is the `current` one, that is in production."""

    name: str
    created: str
    fingerprint: str
    current: bool


class Releases(Protocol):
    """A place that holds releases, of which one is in production."""

    def releases(self) -> list[Release]:
        """Every release, the oldest first."""

    def current(self) -> Release | None:
        """The release in production, or None before the first."""

    def add(self, folder: Path) -> Release:
        """Take a sealed folder in as the next release; the one with the same manifest where it is there."""

    def folder(self, name: str) -> Path:
        """The files of a release, in a folder of this machine."""

    def promote(self, name: str) -> Release:
        """Put a release in production, once it verifies. Raises ModelError where there is none of that name."""

    def rollback(self) -> Release:
        """Put the release in production that was there before. Raises ModelError where there was none."""
