"""Installed: packages that bring parts of their own, by the entry-point group `hfrecipes.parts`.

    [project.entry-points."hfrecipes.parts"]
    acme = "acme_parts"

`acme_parts/strategies/` is then looked into as `hfrecipes/strategies/` is: a name is a file. Nothing is imported before a part
of it is used.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hfrecipes.errors import UserError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "hfrecipes.parts"


class Broken(UserError, LookupError):
    """A part of another package cannot be used."""


@dataclass(frozen=True)
class Home:
    """A package with parts: the `module` that holds their folders, `folder`, and the distribution that brought it, `package`."""

    module: str
    folder: Path
    package: str

    def file(self, kind: str, stem: str) -> Path:
        """Where a part of it would be."""
        return self.folder / kind / f"{stem}.py"

    def load(self, kind: str, stem: str) -> ModuleType:
        """The module of one of its parts. Raises Broken."""
        try:
            return importlib.import_module(f"{self.module}.{kind}.{stem}")
        except Exception as error:  # whatever the code of another package does
            first = next(iter(str(error).strip().splitlines()), "")
            raise self.broken(kind, stem, f"{type(error).__name__}: {first}") from error

    def broken(self, kind: str, stem: str, why: str) -> Broken:
        """What to raise where one of its parts is none."""
        return Broken(f"{kind}.{stem}", f"the package {self.package} is broken: {why}", "Mend it, or uninstall it")


@cache
def homes() -> tuple[Home, ...]:
    """The packages on this machine that bring parts, in the order of the alphabet."""
    found = [Home(*place, _package(entry)) for entry in _entries() if (place := _place(entry.value)) is not None]
    return tuple(sorted(set(found), key=lambda home: (home.package, home.module)))


@cache
def missing() -> tuple[str, ...]:
    """What is wrong with packages whose entry point names a module that is not there, a line each."""
    wrong = [entry for entry in _entries() if _place(entry.value) is None]
    return tuple(sorted(f"the package {_package(entry)} is broken: it has no module {entry.value}" for entry in wrong))


def stems(kind: str) -> dict[str, list[Home]]:
    """The files of a kind in all packages, and the packages that each is in."""
    found: dict[str, list[Home]] = {}
    for home in homes():
        for file in (home.folder / kind).glob("[!_]*.py"):
            found.setdefault(file.stem, []).append(home)
    return found


def _entries() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points  # reads all packages there are: only where it is asked

    return tuple(entry_points(group=GROUP))


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.name


def _place(module: str) -> tuple[str, Path] | None:
    """A module that is a folder, and the folder; found without importing it."""
    first, *rest = module.split(".")
    spec = importlib.util.find_spec(first)
    for deeper in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(f"{spec.name}.{deeper}", list(spec.submodule_search_locations))
    if spec is None or not spec.submodule_search_locations:
        return None
    return module, Path(next(iter(spec.submodule_search_locations)))
