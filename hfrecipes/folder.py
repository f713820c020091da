"""Folders with a fixed layout: a run, and what is written into it atomically.

runs/banking77/
  recipe.yaml       the resolved recipe; run it again and get this
  data/             the rows of each split, as the task reads them, and facts.json
  checkpoints/      the Trainer's, while it trains
  trained/          the checkpoint before it was compressed, where it is
  model/            the checkpoint: safetensors, config, tokenizer, task.json, scores.json
  answers/          what each candidate answered on the test split
  bundles/cpu/ …    one for each target: onnx/…, manifest.json
  stages/           one record a finished stage
  report.json       and report.md with its plots
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfrecipes.errors import ModelError, RunError
from hfrecipes.locking import LOCK

ADAPTER = "adapter"
"""The folder of an adapter beside the checkpoint into which it was merged."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READER_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "task.json")
"""What a reader of texts needs beside the weights; a bundle carries copies."""


@dataclass(frozen=True)
class Run:
    """A run folder. Holds the path only: all state is on disk."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def weights(self) -> Path:
        return self.model / "model.safetensors"

    @property
    def adapter(self) -> Path:
        return self.model / ADAPTER

    @property
    def trained(self) -> Path:
        return self.path / "trained"

    @property
    def answers(self) -> Path:
        return self.path / "answers"

    @property
    def bundles(self) -> Path:
        return self.path / "bundles"

    @property
    def report_file(self) -> Path:
        return self.path / "report.json"

    @classmethod
    def create(cls, path: str | Path, identity: Mapping[str, Any], yaml: str) -> Run:
        """A new run folder, or the one that is there when it is a run of the same recipe.

        `identity` is what makes two recipes the same one: anything else may change between two runs into one folder. Where no
        stage was finished, a mistake in the recipe was in the way, and the folder takes the recipe without it.
        """
        run = cls(Path(path))
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            mark = run.path / "stages/identity.json"
            if not mark.exists() and any(file.name != LOCK for file in run.path.iterdir()):
                raise RunError(str(path), "is neither empty nor a run", "Give another folder with -o")
            mark.parent.mkdir(exist_ok=True)
            fresh = all(file == mark for file in mark.parent.glob("*.json"))
            before = dict(identity) if fresh else read_json(mark)
            for key, entry in identity.items():
                if before.get(key) != entry:
                    raise RunError(
                        str(path),
                        f"holds a run of another recipe ({key}: {before.get(key)}, not {entry})",
                        "Give another folder with -o",
                    )
            write_json(mark, identity)
            if fresh or not run.recipe_file.exists():
                write_text(run.recipe_file, yaml)
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise RunError(str(path), f"cannot be written: {error.strerror}", "Give another folder with -o") from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """A run folder that exists."""
        run = cls(Path(path))
        if not run.recipe_file.is_file():
            raise RunError(str(path), "is not a run folder", "Give the folder that `hfrecipes fit` or `run` wrote")
        return run


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, values: Any) -> None:
    """Values as JSON, whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Text to a file, whole or not at all: written beside it, synced, then renamed over it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder to fill; when the block ends well it takes the place of `folder`, else it is removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield fresh
        fresh.chmod(0o755)
        for file in fresh.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        old = fresh.with_name(f"{fresh.name}.old")
        if folder.exists() and not _exchanged(fresh, folder):
            os.replace(folder, old)
        if not folder.exists():
            os.replace(fresh, folder)
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two paths have changed places in one step, so that neither was ever missing; Linux can (renameat2)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def no_room(error: BaseException) -> bool:
    """Whether an error of a write says that the disk, a quota or a limit is full; safetensors and torch say it in words alone."""
    words = ("No space left", "File too large", "Disk quota", "unexpected pos", "PytorchStreamWriter failed", "file write failed")
    return getattr(error, "errno", None) in FULL or (not isinstance(error, OSError) and any(word in str(error) for word in words))


def sha256(path: Path) -> str:
    """The sha256 of a file as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def listing(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every file below a folder but its manifest; manifests of folders in it are files like others."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / "manifest.json")
    return {str(f.relative_to(folder)): {"size": f.stat().st_size, "sha256": sha256(f)} for f in files}


def seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `manifest.json`: the facts, and size and sha256 of every file."""
    write_json(folder / "manifest.json", {"format": 1, **facts, "files": listing(folder)})


def opened(folder: Path) -> dict[str, Any]:
    """The manifest of a sealed folder whose files have the sizes it says. Raises ModelError where one does not."""
    if not (folder / "manifest.json").is_file():
        raise ModelError(str(folder), "has no manifest.json", "Export it: hfrecipes ship RUN")
    manifest: dict[str, Any] = read_json(folder / "manifest.json")
    for name, facts in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != facts["size"]:
            raise ModelError(
                str(folder), f"{name} is not the file that its manifest names", "Export it again: hfrecipes ship RUN"
            )
    return manifest


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a sealed folder that holds the files it names, with the sha256 it gives, and no others. Raises ModelError
    that names the first file for which that is not so."""
    try:
        manifest = opened(folder)
        named = dict(manifest["files"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(str(folder), "manifest.json is not the manifest of a sealed folder", "Export it again") from None
    found = listing(folder)
    for name in sorted({*named, *found}):
        if name not in named:
            raise ModelError(str(folder), f"{name} is not in its manifest", "Take it out, or export again: hfrecipes ship RUN")
        if found.get(name) != named[name]:
            raise ModelError(
                str(folder), f"{name} is not the file that its manifest names", "Export it again: hfrecipes ship RUN"
            )
    return manifest
