"""Registry: releases in a folder, of which one is in production.

registry/
  releases/v1/ …    sealed folders, copied in, read-only, never changed; a number is never given twice
  production.json   the release in production, those before it, and when each was added
  .lock             taken in turns by processes that write

`promote` puts a release in production, and what was there before on top of the history; `rollback` takes that back from the top.
So a second rollback goes one further back, never forward to what was rolled back from: that is promoted by its name. Nothing is
put in production that was not verified just before. A process that is killed leaves the old pointer or the new one.

Processes take turns by `flock`, where the system has it; elsewhere let one process write at a time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from hfrecipes.errors import ModelError
from hfrecipes.folder import sha256, verified
from hfrecipes.locking import locked, writing
from hfrecipes.pointer import FILE, NAME, Pointer, sync
from hfrecipes.releases import Release

LOCK = ".lock"
ASIDE = ".adding-"
OTHER = "Add it again, or promote another release"


class Registry:
    """The registry in a folder, which need not be there before the first `add`.

    `check` is called with the folder of a release that is to go into production, once its files are verified, and raises where it
    should not: a smoke prediction.
    """

    def __init__(self, path: str | Path, check: Callable[[Path], object] | None = None) -> None:
        self.path = Path(path)
        self.check = check

    def releases(self) -> list[Release]:
        """Every release, the oldest first. Raises ModelError where there is no registry."""
        pointer = Pointer.read(self.path)
        return [self._release(pointer, name) for name in self._names(pointer)]

    def current(self) -> Release | None:
        """The release in production, or None before the first."""
        pointer = Pointer.read(self.path)
        return self._release(pointer, pointer.release) if pointer.release else None

    def folder(self, name: str) -> Path:
        """The folder of a release. Raises ModelError where there is none of that name."""
        names = self._names(Pointer.read(self.path))
        if name not in names:
            there = f"It has: {', '.join(names)}" if names else "Add one first"
            raise ModelError(str(self.path), f"has no release '{name}'", there)
        return self._place(name)

    def add(self, folder: str | Path) -> Release:
        """Copy a sealed folder in as the next release; one with the same manifest that is there, and whole, is returned instead.

        Raises ModelError where the folder is not sealed, or holds other files than its manifest names, or the registry cannot be
        written.
        """
        source = Path(folder)
        files, fingerprint = _sealed(source)
        with self._turn(create=True) as pointer:
            pass
        if name := self._same(pointer, fingerprint):
            return self._release(pointer, name)
        with self._aside() as fresh:
            _copy(source, fresh, ["manifest.json", *files])
            if _sealed(fresh) != (files, fingerprint):
                raise ModelError(str(source), "changed while it was copied", "Add it again")
            with self._turn() as pointer:
                if name := self._same(pointer, fingerprint):
                    return self._release(pointer, name)
                name = self._next(pointer)
                pointer = pointer.with_release(name, datetime.now(UTC).isoformat(timespec="seconds"), fingerprint)
                pointer.write(self.path)  # first, so that no release is ever there whose fingerprint is not known
                fresh.rename(self._place(name))
                sync(self._place(name).parent)
                return self._release(pointer, name)

    def promote(self, name: str) -> Release:
        """Verify a release, then put it in production. Of the one in production nothing but the verification is done.

        Raises ModelError where there is none of that name, or its files changed; the pointer stays where it is then, as it does
        when `check` raises.
        """
        self._verify(name)
        with self._turn() as pointer:
            moved = pointer.promoted(name)
            if moved != pointer:
                moved.write(self.path)
        return self._release(moved, name)

    def rollback(self) -> Release:
        """Verify the release that was in production before, then put it there again.

        Raises ModelError where there was none, or its files changed; the pointer stays where it is then, as it does when `check`
        raises.
        """
        while True:
            before = Pointer.read(self.path)
            if not before.history:
                others = ", ".join(name for name in self._names(before) if name != before.release)
                raise ModelError(
                    str(self.path),
                    "has nothing to roll back to",
                    f"Promote one of: {others}" if others else "Add another release and promote it",
                )
            name = before.history[-1]
            self._verify(name)
            with self._turn() as pointer:
                if (pointer.release, pointer.history) == (before.release, before.history):
                    moved = pointer.rolled_back()
                    moved.write(self.path)
                    return self._release(moved, name)

    def _place(self, name: str) -> Path:
        return self.path / "releases" / name

    def _names(self, pointer: Pointer) -> list[str]:
        return sorted((name for name in pointer.added if self._place(name).is_dir()), key=_number)

    def _release(self, pointer: Pointer, name: str) -> Release:
        facts = pointer.added[name]
        return Release(name, facts["created"], facts["fingerprint"], current=name == pointer.release)

    def _verify(self, name: str) -> None:
        folder = self.folder(name)
        self._whole(folder, Pointer.read(self.path).added[name]["fingerprint"])
        if self.check is not None:
            self.check(folder)

    def _whole(self, folder: Path, fingerprint: str) -> None:
        manifest = folder / "manifest.json"
        if not manifest.is_file() or sha256(manifest) != fingerprint:
            raise ModelError(str(folder), "manifest.json is not the one that was added", OTHER)
        try:
            verified(folder)
        except ModelError as error:
            raise ModelError(str(folder), error.what, OTHER) from None

    def _same(self, pointer: Pointer, fingerprint: str) -> str | None:
        """The release with a manifest, where one is there and whole."""
        for name in self._names(pointer):
            if pointer.added[name]["fingerprint"] == fingerprint:
                try:
                    self._whole(self._place(name), fingerprint)
                except ModelError:
                    continue
                return name
        return None

    def _next(self, pointer: Pointer) -> str:
        there = [each.name for each in (self.path / "releases").iterdir() if NAME.fullmatch(each.name)]
        return f"v{1 + max(map(_number, {*there, *pointer.added}), default=0)}"

    @contextmanager
    def _turn(self, create: bool = False) -> Iterator[Pointer]:
        """The pointer, while no other process writes; what killed ones left behind is gone. Raises ModelError where the registry
        cannot be written, or there is none and it is not to be created."""
        if not create:
            Pointer.read(self.path)
        with writing(self.path):
            if create:
                self._create()
            with locked(self.path / LOCK):
                if not (self.path / FILE).exists():
                    (self.path / "releases").mkdir(exist_ok=True)
                    Pointer().write(self.path)
                    sync(self.path.parent)
                self._tidy()
                yield Pointer.read(self.path)

    def _create(self) -> None:
        """A folder for a registry, where there is none yet."""
        self.path.mkdir(parents=True, exist_ok=True)
        ours = (LOCK, FILE, "releases", f".{FILE}.")
        if not (self.path / FILE).exists() and not all(each.name.startswith(ours) for each in self.path.iterdir()):
            raise ModelError(str(self.path), "is neither empty nor a registry", "Give another folder")

    def _tidy(self) -> None:
        """Remove what killed processes left: pointers that were not finished, copies that nobody works on."""
        for left in self.path.glob(f".{FILE}.*"):
            left.unlink(missing_ok=True)
        for left in (self.path / "releases").glob(f"{ASIDE}*"):
            with suppress(FileNotFoundError), locked(left / LOCK, wait=False) as ours:
                if ours:
                    shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """A folder to fill beside the releases, that others leave alone while this process lives."""
        with writing(self.path), ExitStack() as held:
            with self._turn():
                made = Path(tempfile.mkdtemp(dir=self.path / "releases", prefix=ASIDE))
                held.callback(shutil.rmtree, made, ignore_errors=True)
                held.enter_context(locked(made / LOCK))
            (made / "release").mkdir()
            yield made / "release"


def _sealed(folder: Path) -> tuple[list[str], str]:
    """The names of the files of a folder that verifies, and the fingerprint of its manifest."""
    try:
        return list(verified(folder)["files"]), sha256(folder / "manifest.json")
    except OSError as error:
        raise ModelError(str(folder), f"cannot be read: {error.strerror}", "Give a folder that you may read") from error


def _number(name: str) -> int:
    return int(name[1:])


def _copy(source: Path, target: Path, names: Iterable[str]) -> None:
    """Files of a folder, read-only and on the disk when this returns."""
    for name in names:
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, file)
        file.chmod(0o444)
        sync(file)
    for folder in [target, *(each for each in target.rglob("*") if each.is_dir())]:
        sync(folder)
