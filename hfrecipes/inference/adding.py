"""Adding: a class more for a model that answers by the nearest prototype, from a few examples and without training.

What is written is a new folder: the old one is never changed, and answers as before. A release is copied whole, its checkpoint
and every bundle with the new class, but not what shows that the old one passed its checks.
"""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.errors import DataError, ModelError
from hfrecipes.folder import read_json, seal, staged, write_json
from hfrecipes.heads import ENTRY, Head
from hfrecipes.heads.prototype import Prototype
from hfrecipes.inference.embedding import embeddings
from hfrecipes.uncertainty import FILE as UNCERTAINTY

if TYPE_CHECKING:
    from hfrecipes.inference.predictor import Predictor

SHOWN = ("checklist.json", "checklist.json.sig", "smoke.json", "evidence", ".eval_results", "report.json")
"""What shows that a release passed its checks."""
HEAD = ".0.weight"
"""What the name of a prototype head's matrix ends with."""
NONE = "has no prototypes that a class could be added to"


def add_class(predictor: Predictor, name: str, texts: Sequence[str], folder: str | Path | None = None) -> Predictor:
    """Write a copy of the model behind `predictor` that knows the class `name`, too, to `folder` or beside the old one; gives
    its predictor, over the same graph. Raises ModelError for a head without prototypes, DataError for a name that is there."""
    head = Head.choose(predictor.config[ENTRY]) if predictor.config.get(ENTRY) else None
    if predictor.source is None or not isinstance(head, Prototype) or not head.means:
        instead = "Train it with `head: prototype`, or `objective: prototypes`"
        raise ModelError(str(predictor.source or "model"), NONE, instead)
    if not name or name in predictor.config["label2id"]:
        raise DataError("add_class", f"there is a class '{name}' already" if name else "the class has no name", "Write another")
    if isinstance(texts, str) or not texts:
        raise DataError("add_class", f"the class '{name}' has no list of examples", "Give 1 to 5 texts")
    root = _root(predictor.source)
    made = Path(folder) if folder is not None else root.with_name(f"{root.name}_{re.sub(r'[^A-Za-z0-9_-]+', '_', name)}")
    if made.exists():
        raise DataError("add_class", f"{made} is there already", "Name another folder")
    point = embeddings(predictor, texts).mean(axis=0)
    with staged(made) as fresh:
        shutil.copytree(root, fresh, dirs_exist_ok=True)
        for path in (fresh, *fresh.rglob("*")):  # a release in a registry is read-only
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        _extend(fresh, name, point)
    graph = json.loads(predictor.asked)[0] if predictor.asked else None
    return type(predictor).open(made, graph if graph is None or (made / "bundles").is_dir() else graph.rpartition("/")[2])


def _root(source: Path) -> Path:
    """The release that a bundle or a checkpoint is part of; else itself."""
    above = source.parent.parent
    return above if source.parent.name == "bundles" and (above / "manifest.json").is_file() else source


def _extend(folder: Path, name: str, point: np.ndarray) -> None:
    """Add a class to whatever lies in a folder: a checkpoint, a bundle, or a release of both."""
    manifest = read_json(folder / "manifest.json") if (folder / "manifest.json").is_file() else {}
    for bundle in sorted(folder.glob("bundles/*/")):
        _extend(bundle, name, point)
    if (folder / "config.json").is_file():
        config = read_json(folder / "config.json")
        count = len(config["label2id"])
        config["label2id"][name], config["id2label"][str(count)] = count, name
        write_json(folder / "config.json", {k: e for k, e in config.items() if k != "label_counts"})
        if (folder / "model.safetensors").is_file():
            _extend_weights(folder / "model.safetensors", count, point)
        for graph in manifest.get("graphs", {}).values():
            _extend_graph(folder / graph["file"], count, point)
    if (folder / UNCERTAINTY).is_file():  # what was promised was promised of the classes that were there
        fitted = read_json(folder / UNCERTAINTY)
        write_json(
            folder / UNCERTAINTY,
            {k: {**e, "nonconformity": [], "rows": 0} if isinstance(e, dict) else e for k, e in fitted.items()},
        )
    for shown in SHOWN:
        shutil.rmtree(folder / shown) if (folder / shown).is_dir() else (folder / shown).unlink(missing_ok=True)
    if manifest:
        facts = {key: entry for key, entry in manifest.items() if key not in ("format", "files")}
        seal(folder, {**facts, "added": [*facts.get("added", []), name]})


def _extend_weights(file: Path, count: int, point: np.ndarray) -> None:
    """A row more in the head of a checkpoint, which has `count`."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    with safe_open(str(file), "numpy") as held:
        facts = held.metadata()
    weights = load_file(str(file))
    found = [key for key, rows in weights.items() if key.endswith(HEAD) and rows.shape == (count, len(point))]
    if len(found) != 1:
        raise ModelError(str(file), NONE, "Train it again")
    weights[found[0]] = np.concatenate([weights[found[0]], point[None].astype(weights[found[0]].dtype)])
    save_file(weights, str(file), facts)


def _extend_graph(file: Path, count: int, point: np.ndarray) -> None:
    """A row more in the matrix that a graph takes distances to, which has `count`."""
    import onnx
    from onnx import numpy_helper

    model: Any = onnx.load(str(file))
    graph = model.graph
    held = {each.name: each for each in graph.initializer if list(each.dims) == [count, len(point)]}
    found = [held[name] for node in graph.node if node.op_type == "Sub" for name in node.input if name in held]
    if len(found) != 1:
        raise ModelError(str(file), NONE, "Export the run again: hfrecipes ship")
    rows = numpy_helper.to_array(found[0])
    found[0].CopyFrom(numpy_helper.from_array(np.concatenate([rows, point[None].astype(rows.dtype)]), found[0].name))
    del graph.value_info[:]
    for output in graph.output:
        if output.name == "logits":
            output.type.tensor_type.shape.dim[-1].dim_value = count + 1
    onnx.save(model, str(file))
