"""Engine: a bundle laid out for what serves models on more than one machine."""

from __future__ import annotations

import re
import shutil
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfrecipes.errors import ModelError, RunError, UserError
from hfrecipes.folder import opened, read_json, staged
from hfrecipes.hub import local_folder
from hfrecipes.part import Part

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")


@dataclass(frozen=True)
class Bundle:
    """The sealed `folder` of a bundle, its manifest, and the `name` that an engine knows it by."""

    folder: Path
    manifest: Mapping[str, Any]
    name: str

    @classmethod
    def of(cls, where: str | Path, name: str | None = None) -> Bundle:
        """The bundle that a run, a release, a registry, or `owner/name` on the Hub serves; without a name it has its folder's.

        Raises ModelError where there is none, and UserError for a name that an engine would not take.
        """
        folder = local_folder(where)
        index = folder / "bundles/index.json"
        if not index.is_file() and not (folder / "manifest.json").is_file():
            raise ModelError(str(where), "has no bundle yet", "Run `hfrecipes ship` on it")
        bundle = folder / "bundles" / read_json(index)["default"] if index.is_file() else folder
        called = name if name is not None else re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:50]
        if not NAME.fullmatch(called):
            raise UserError(
                "--name", f"'{called}' is no name of a service", "Write small letters, digits and hyphens, 50 at most"
            )
        return cls(bundle, opened(bundle), called)

    @property
    def graph(self) -> Mapping[str, Any]:
        """What the manifest says of the graph that is served."""
        found: Mapping[str, Any] = self.manifest["graphs"][self.manifest["default"]]
        return found

    @property
    def generates(self) -> bool:
        """Whether it writes texts, with several graphs."""
        return bool((self.folder / self.graph["file"]).is_dir())

    @property
    def on_gpu(self) -> bool:
        """Whether it was made for one."""
        return not any(name.startswith(("CPU", "OpenVINO")) for name in self.manifest["providers"][:1])

    def copy(self, folder: Path) -> None:
        """The whole bundle, sealed as it is."""
        shutil.copytree(self.folder, folder)


class Engine(Part, kind="engines"):
    """Base of engines. They serve what was exported before; none is needed to lay a bundle out for it."""

    @abstractmethod
    def write(self, bundle: Bundle, folder: Path) -> None:
        """Write what the engine reads into an empty folder. Raises ModelError for a bundle that it cannot serve."""


def lay_out(where: str | Path, engine: Engine, folder: Path, name: str | None = None) -> list[Path]:
    """Write a bundle for an engine to a new folder, whole or not at all, and say which files it has."""
    bundle = Bundle.of(where, name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(str(folder), "is there already", "Give another folder with --to")
    with staged(folder) as fresh:
        engine.write(bundle, fresh)
    return sorted(file for file in folder.rglob("*") if file.is_file())
