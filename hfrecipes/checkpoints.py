"""Checkpoints: what a training that was stopped goes on from, in the layout of `transformers.Trainer`.

Each is written in a folder apart, sealed with a manifest (size and sha256 of every file), synced and renamed into place: one that
was cut short is never taken for a checkpoint, and one that was damaged later is found out before anything is read from it.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hfrecipes import distributed
from hfrecipes.errors import ModelError, RunError
from hfrecipes.folder import no_room, read_json, seal, verified
from hfrecipes.pointer import sync

log = logging.getLogger("hfrecipes")
PREFIX, STATE, SAVING, DAMAGED = "checkpoint-", "trainer_state.json", ".saving", "damaged-"
UNSAFE = "training_args.bin"
"""A pickle that the Trainer writes, with the token for the Hub in clear; nothing here reads it."""


def named(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"{PREFIX}{step}"


@contextmanager
def committed(folder: Path, step: int, training: str, need: int = 0) -> Iterator[Path]:
    """A folder in which all processes write the checkpoint of a step, under its name. When the block has ended well it is in
    `folder`, else nothing is left of it. `training` tells the trainings apart that may use `folder`. Raises RunError where the
    disk is too full for the `need` bytes that are written."""
    saving = folder / SAVING

    def begin() -> None:
        shutil.rmtree(saving, ignore_errors=True)
        named(saving, step).mkdir(parents=True)

    def commit() -> None:
        written, place, old = named(saving, step), named(folder, step), saving / "old"
        (written / UNSAFE).unlink(missing_ok=True)
        seal(written, {"training": training, "step": step})
        for path in (*written.rglob("*"), written):
            sync(path)
        if place.exists():
            os.replace(place, old)
        os.replace(written, place)
        sync(folder)

    distributed.on_main(begin)
    try:
        yield saving
        distributed.wait()
        distributed.on_main(commit)
    except Exception as error:
        if not no_room(error):
            raise
        free = shutil.disk_usage(folder).free
        what = f"the disk is full: the checkpoint of step {step} needs about {need / 1e6:.1f} MB, {free / 1e6:.1f} MB are free"
        raise RunError(str(folder), what, "Make room and run it again: it goes on from the last checkpoint") from error
    finally:
        if distributed.is_main():
            shutil.rmtree(saving, ignore_errors=True)


def newest(folder: Path, training: str) -> Path | None:
    """The newest checkpoint of a training that is whole, with the best one that it speaks of; None where there is none. Those
    that are not are set aside, and said to be so in one line."""
    return distributed.on_main(lambda: _newest(folder, training))


def _newest(folder: Path, training: str) -> Path | None:
    shutil.rmtree(folder / SAVING, ignore_errors=True)
    damaged: list[str] = []
    for path in reversed(_all(folder)):
        try:
            if verified(path).get("training") != training:
                log.warning("%s: the checkpoints are of another training (other settings or data): it starts anew", folder)
                shutil.rmtree(folder)
                return None
            best = read_json(path / STATE).get("best_global_step")
            if best and named(folder, best) != path:
                verified(named(folder, best))
        except ModelError as error:
            damaged.append(f"{path.name} ({error.what})")
            os.replace(path, _aside(path))
            continue
        if damaged:
            log.warning("%s: damaged: %s; going on from %s", folder, ", ".join(damaged), path.name)
        return path
    if damaged:
        log.warning("%s: damaged: %s; no other is there, so the training starts anew", folder, ", ".join(damaged))
    return None


def rotate(folder: Path, keep: int | None, best: str | None) -> None:
    """Delete the oldest checkpoints until `keep` are left, of those that are neither the newest nor the best."""
    if not keep:
        return
    every = _all(folder)
    spare = [path for path in every[:-1] if best is None or path != Path(best)]
    for path in spare[: max(0, len(every) - keep)]:
        gone = path.with_name(f".{path.name}")  # renamed first: what is half deleted is no checkpoint
        os.replace(path, gone)
        shutil.rmtree(gone)


def _all(folder: Path) -> Sequence[Path]:
    """The checkpoints in a folder, the oldest first."""
    steps = [path.name.removeprefix(PREFIX) for path in folder.glob(f"{PREFIX}*") if path.is_dir()]
    return [named(folder, step) for step in sorted(int(step) for step in steps if step.isdecimal())]


def _aside(path: Path) -> Path:
    """Where a damaged checkpoint is put: no later one takes its place."""
    place = path.with_name(f"{DAMAGED}{path.name.removeprefix(PREFIX)}")
    shutil.rmtree(place, ignore_errors=True)
    return place
