"""Release: what of a run leaves the machine, and nothing else.

A release has the checkpoint at its root, where `from_pretrained` looks for it, its bundles below `bundles/`, the card as
`README.md`, and what shows that it may be released: `checklist.json` with `evidence/`, `report.json`, `smoke.json` and plots.
Files get in by name: a pickle, an optimizer's state or a log can lie in a run and never be copied.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfrecipes.errors import RunError
from hfrecipes.folder import Run, read_json, seal, staged, write_json

CHECKPOINT = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.*",
    "merges.txt",
    "*.model",
    "task.json",
    "uncertainty.json",
    "baseline.json",
)
SHOWN = ("README.md", "checklist.json", "checklist.json.sig", "smoke.json", "*.png", "evidence/*.json", ".eval_results/*.yaml")
BUNDLE = (".json", ".onnx", ".onnx_data", ".data", ".txt", ".model", ".jinja", ".safetensors")
PRIVATE_PATH = re.compile(r"^(/|~|[A-Za-z]:\\)")


def assemble(run: Run, folder: Path) -> None:
    """Fill a new `folder` with the release of a run, and seal it. Raises RunError where the run has no model."""
    if not (run.model / "config.json").is_file():
        raise RunError(str(run.path), "has no model", "Run `hfrecipes fit` first")
    with staged(folder) as fresh:
        for source, target in files(run):
            place = fresh / target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
        if run.report_file.is_file():
            write_json(fresh / "report.json", without_paths(read_json(run.report_file)))
        seal(fresh, {"kind": "release", "run": run.path.resolve().name})


def files(run: Run) -> Iterator[tuple[Path, str]]:
    """The files of a run that are released as they are, and where in the release each stands."""
    yield from checkpoint_files(run)
    for file in sorted(run.bundles.rglob("*")):
        if file.is_file() and file.suffix in BUNDLE:
            yield file, f"bundles/{file.relative_to(run.bundles)}"
    for pattern in SHOWN:
        for file in sorted(run.path.glob(pattern)):
            yield file, str(file.relative_to(run.path))


def checkpoint_files(run: Run) -> Iterator[tuple[Path, str]]:
    """The files of a run's checkpoint that are released, and their names."""
    for pattern in CHECKPOINT:
        for file in sorted(run.model.glob(pattern)):
            yield file, file.name


def without_paths(values: Any) -> Any:
    """JSON values in which of every absolute path the last part alone is left."""
    if isinstance(values, dict):
        return {key: without_paths(entry) for key, entry in values.items()}
    if isinstance(values, list):
        return [without_paths(entry) for entry in values]
    if isinstance(values, str) and PRIVATE_PATH.match(values):
        return re.split(r"[/\\]", values.rstrip("/\\"))[-1]
    return values
