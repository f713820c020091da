"""Release: what of a run leaves the machine, and nothing else.

A release has the checkpoint at its root, where `from_pretrained` looks for it, its bundles below `bundles/`, the adapter that was
merged into it below `adapter/` where it was kept, the card as `README.md`, and what shows that it may be released:
`checklist.json` with `evidence/`, `report.json`, `smoke.json` and plots.
Files get in by name: a pickle, an optimizer's state or a log can lie in a run and never be copied.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
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
SHOWN = (
    "README.md",
    "report.json",
    "checklist.json",
    "checklist.json.sig",
    "smoke.json",
    "*.png",
    "evidence/*.json",
    ".eval_results/*.yaml",
)
ADAPTED = ("adapter_config.json", "adapter_model.safetensors")
BUNDLE = (".json", ".onnx", ".onnx_data", ".data", ".txt", ".model", ".jinja", ".safetensors")
PRIVATE_PATH = re.compile(r"^(/|~|[A-Za-z]:\\)")
Files = Iterable[tuple[Path, str]]
"""Files of a run that are released, and where in the release each stands."""


def assemble(run: Run, folder: Path) -> None:
    """Fill a new `folder` with the release of a run, and seal it. Raises RunError where the run has no model."""
    with staged(folder) as fresh:
        copy([*checkpoint_files(run), *below("bundles", bundle_files(run.bundles))], fresh)
        copy([*below("adapter", adapter_files(run)), *shown_files(run)], fresh)
        seal(fresh, {"kind": "release", "run": run.path.resolve().name})


def copy(files: Files, folder: Path) -> None:
    """Copy files into a release; what is written about the run and its adapter without absolute paths."""
    for source, target in files:
        place = folder / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.name in ("report.json", "adapter_config.json"):
            write_json(place, without_paths(read_json(source)))
        else:
            shutil.copyfile(source, place)


def below(name: str, files: Files) -> Files:
    """The same files in a folder of the release."""
    return [(source, f"{name}/{target}") for source, target in files]


def bundle_files(folder: Path) -> Files:
    """The files of one bundle, or of all."""
    found = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix in BUNDLE]
    return [(file, str(file.relative_to(folder))) for file in found]


def adapter_files(run: Run) -> Files:
    """The files of the adapter, where one was kept."""
    return [(run.adapter / name, name) for name in ADAPTED if (run.adapter / name).is_file()]


def shown_files(run: Run) -> Files:
    """What shows that a run may be released."""
    found = [file for pattern in SHOWN for file in sorted(run.path.glob(pattern))]
    return [(file, str(file.relative_to(run.path))) for file in found]


def checkpoint_files(run: Run) -> Iterator[tuple[Path, str]]:
    """The files of a run's checkpoint that are released, and their names. Raises RunError where the run has no model."""
    if not (run.model / "config.json").is_file():
        raise RunError(str(run.path), "has no model", "Run `hfrecipes fit` first")
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
