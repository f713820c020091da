"""Locking: files and run folders that processes take turns by, and what a folder says that cannot be written."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hfrecipes import distributed
from hfrecipes.errors import ModelError, RunError

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("hfrecipes")
LOCK = ".lock"
_held: set[Path] = set()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a folder that cannot be written into one line."""
    try:
        yield
    except OSError as error:
        raise ModelError(str(path), f"cannot be written: {error.strerror}", "Give a folder where you may write") from error


@contextmanager
def locked(file: Path, wait: bool = True) -> Iterator[bool]:
    """The lock of a file, or false where another process holds it and is not waited for. The system gives back the lock of a
    process that died."""
    with file.open("a") as stream:
        yield _taken(stream.fileno(), wait)


def _taken(handle: int, wait: bool) -> bool:
    if sys.platform == "win32":
        return wait  # who else is at work cannot be told
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(run: str | Path, wait: bool = False) -> Iterator[None]:
    """A run folder to this process, with its launcher's others, while the block runs. Raises RunError where another one is at
    work in it and is not waited for."""
    folder = Path(run).resolve()
    if folder in _held:
        yield
        return
    with ExitStack() as stack:
        distributed.on_main(lambda: _enter(stack, folder, wait))
        _held.add(folder)
        try:
            yield
        finally:
            _held.discard(folder)
            if distributed.is_main():
                _leave(folder)


def _enter(stack: ExitStack, folder: Path, wait: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mine = stack.enter_context(locked(folder / LOCK, wait=False)) or sys.platform == "win32"
    except OSError as error:
        raise RunError(str(folder), f"cannot be written: {error.strerror}", "Give another folder with -o") from error
    if mine:
        return
    if not wait:
        raise RunError(
            str(folder), "another process is at work in it", "Write --wait to wait for it, or give another folder with -o"
        )
    log.info("waiting for the process that is at work in %s", folder)
    stack.enter_context(locked(folder / LOCK))


def _leave(folder: Path) -> None:
    """Take the lock's file away where no run began: the recipe was refused, or the folder is no run's."""
    if (folder / "recipe.yaml").exists() or not folder.exists():
        return
    (folder / LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it
        folder.rmdir()
