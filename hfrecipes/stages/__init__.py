"""Stages: plain functions over a recipe and a run folder, one a file.

`@stage` makes a function restartable: what it reads (blocks of the recipe, the stages before it) is hashed into a key, and a
record of the key and of what was written is left in `stages/` when it ends. A second run with the same key is skipped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes import __version__, distributed
from hfrecipes.config import dump
from hfrecipes.errors import RunError, UserError
from hfrecipes.folder import Run, no_room, read_json, write_json, write_text

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

log = logging.getLogger("hfrecipes")
Work = Callable[["Recipe", Run], None]
OfRecipe = Sequence[str] | Callable[["Recipe"], Sequence[str]]
"""Names, or those that depend on the recipe."""


def stage(
    *,
    blocks: Sequence[str],
    after: OfRecipe = (),
    outputs: OfRecipe,
    everywhere: bool = False,
    source: Callable[[Recipe, Run], Any] | None = None,
) -> Callable[[Work], Work]:
    """Make `work` a stage.

    `blocks` are the recipe's fields it reads, `after` the stages whose output it reads, `outputs` the files and folders it
    writes, and `source` a signature of what it reads outside the run. `everywhere`: all processes take part, not the main one.
    """

    def wrap(work: Work) -> Work:
        name = work.__name__

        def perform(recipe: Recipe, run: Run) -> None:
            key = distributed.on_main(lambda: _key(name, recipe, run, blocks, _of(after, recipe), source))
            if distributed.on_main(lambda: _is_done(name, run, key, _of(outputs, recipe))):
                log.info("%s: nothing has changed, skipped", name)
                return
            log.info("%s", name)
            started = time.time()
            record = run.path / f"stages/{name}.json"
            before = record.read_text("utf-8") if distributed.is_main() and record.is_file() else ""
            distributed.on_main(lambda: _begin(record, key))
            try:
                if everywhere:
                    work(recipe, run)
                else:
                    distributed.on_main(lambda: work(recipe, run))
            except UserError:  # a stage refuses before it writes, so what was there is still what the record says
                if before:
                    write_text(record, before)
                raise
            except Exception as error:
                if not no_room(error):
                    raise
                what, instead = (
                    f"the disk is full in the middle of {name}",
                    "Make room and run it again: finished stages are kept",
                )
                raise RunError(str(run.path), what, instead) from error
            finally:
                if distributed.is_main():
                    record.with_suffix(".begun").unlink(missing_ok=True)
            distributed.on_main(lambda: _record(name, run, key, _of(after, recipe), _of(outputs, recipe), time.time() - started))

        perform.__name__, perform.__doc__ = name, work.__doc__
        return perform

    return wrap


def begun(run: Run, name: str) -> str:
    """The key of the stage that is at work: the same for each try at it, another where it reads something else."""
    return (run.path / f"stages/{name}.begun").read_text("utf-8")


def trained(recipe: Recipe) -> str:
    """The stage behind which the checkpoint is there."""
    return "compress" if recipe.compress else "train"


def seconds(run: Run) -> dict[str, float]:
    """The seconds that each finished stage took, those left out that read what an earlier stage has replaced since."""
    records = {path.stem: read_json(path) for path in (run.path / "stages").glob("*.json") if path.stem != "identity"}

    def stands(name: str) -> bool:
        before = records[name].get("before", {})
        return all(stage in records and records[stage]["key"] == key and stands(stage) for stage, key in before.items())

    ordered = sorted(records, key=lambda name: float(records[name]["finished"]))
    return {name: records[name]["seconds"] for name in ordered if stands(name)}


def held_out(run: Run, most: int) -> list[dict[str, Any]]:
    """The first `most` rows of the validation split, as the task reads them."""
    from datasets import load_from_disk

    rows = load_from_disk(str(run.data / "validation_rows"))
    return list(rows.select(range(min(most, len(rows)))))


def _begin(record: Path, key: str) -> None:
    record.unlink(missing_ok=True)
    write_text(record.with_suffix(".begun"), key)


def _of(names: OfRecipe, recipe: Recipe) -> Sequence[str]:
    return names(recipe) if callable(names) else names


def _key(name: str, recipe: Recipe, run: Run, blocks: Sequence[str], after: Sequence[str], source: Any) -> str:
    for stage in after:
        if not (run.path / f"stages/{stage}.json").is_file():
            raise RunError(
                str(run.path), f"{name} needs the stage '{stage}', which has not finished", "Run `hfrecipes fit` first"
            )
    before = {stage: read_json(run.path / f"stages/{stage}.json")["key"] for stage in after}
    asked = {block: dump(getattr(recipe, block)) for block in blocks}
    if isinstance(asked.get("data"), dict):
        asked["data"].pop("fingerprint", None)
    read = [
        name,
        __version__,
        asked,
        before,
        source(recipe, run) if source else "",
        distributed.processes() if name == "train" else 1,
    ]
    return hashlib.sha256(json.dumps(read, sort_keys=True, default=str).encode()).hexdigest()


def _is_done(name: str, run: Run, key: str, outputs: Sequence[str]) -> bool:
    path = run.path / f"stages/{name}.json"
    if not path.is_file():
        return False
    record = read_json(path)
    asked = record["key"] == key and record["outputs"] == list(outputs)
    there = _sizes(run, outputs)
    return bool(asked and all(there.get(file) == size for file, size in record["files"].items()))


def _record(name: str, run: Run, key: str, after: Sequence[str], outputs: Sequence[str], took: float) -> None:
    facts = {
        "key": key,
        "before": {stage: read_json(run.path / f"stages/{stage}.json")["key"] for stage in after},
        "outputs": list(outputs),
        "files": _sizes(run, outputs),
        "seconds": round(took, 2),
        "finished": time.time(),
    }
    write_json(run.path / f"stages/{name}.json", facts)


def _sizes(run: Run, outputs: Sequence[str]) -> dict[str, int]:
    """Sizes of all files that a stage wrote: enough to notice that one is gone or cut short."""
    found: list[Path] = []
    for output in outputs:
        path = run.path / output
        found += [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(run.path)): file.stat().st_size for file in sorted(found)}
