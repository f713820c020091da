"""Locking: files that processes take turns by, and what a folder says that cannot be written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hfrecipes.errors import ModelError

if sys.platform != "win32":
    import fcntl


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
