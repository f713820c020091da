"""Verification: whether a release is what its checklist was made for, and answers as it did then."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.apart import ADAPTER, BUNDLE, BUNDLE_MANIFEST, WEIGHTS, pieces
from hfrecipes.checks import CHECKLIST
from hfrecipes.edge import explained
from hfrecipes.errors import ModelError
from hfrecipes.folder import Run, read_json, sha256, verified, write_json
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import same
from hfrecipes.release import ADAPTED, adapter_files, checkpoint_files, copy
from hfrecipes.signing import check_signature, sign
from hfrecipes.trusted import trusted

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe
    from hfrecipes.tasks import Row

LIST, SMOKE = "checklist.json", "smoke.json"
MODEL = "model.safetensors"
SAID = (
    "One sentence will do.",
    "I have been waiting for two weeks and nothing has come.",
    "Is there a way to do this twice?",
    "THE LAST ONE WAS NOT GOOD AT ALL!!!",
    "42",
    "Dr. Maria Keller of Basel met the board in New York on 3 May 2021.",
)
"""Texts that a release is asked about, none of them from anybody's data."""
SHOULD = "Release it again: hfrecipes ship"


def bind(recipe: Recipe, run: Run, waived: Mapping[str, str], key: Path | None = None) -> None:
    """Write `checklist.json`, which ties every verdict and its evidence to the weights and the bundles by their sha256, and
    `smoke.json` with what the served bundle answers to made-up texts. With a private `key` the checklist is signed."""
    verdicts = read_json(run.path / "checks.json")
    items = []
    for verdict in verdicts:
        file = run.path / f"evidence/{verdict['check']}.json"
        evidence = sha256(file) if file.is_file() else None
        items.append({**verdict, "waived": waived.get(verdict["check"]), "evidence": evidence})
    shown = {verdict["check"] for verdict in verdicts}
    index = read_json(run.bundles / "index.json")
    values = {
        "format": 1,
        "complete": all(name in shown for name in CHECKLIST),
        "passed": all(item["passed"] or item["waived"] for item in items),
        "weights": sha256(run.weights),
        "checkpoint": {name: sha256(file) for file, name in checkpoint_files(run)},
        "bundles": {target: sha256(run.bundles / target / "manifest.json") for target in index["targets"]},
        "adapter": _adapter(run),
        "versions": {name: version(name) for name in ("hfrecipes", "transformers", "tokenizers", "onnxruntime", "torch")},
        "items": items,
    }
    write_json(run.path / LIST, values)
    (run.path / f"{LIST}.sig").unlink(missing_ok=True)
    if key is not None:
        sign(run.path / LIST, key)
    predictor = Predictor.open(run.path)
    rows = [_row(predictor, text) for text in SAID[: 2 if predictor.task.generates else None]]
    write_json(run.path / SMOKE, {"rows": rows, "answers": _answers(predictor, rows)})


def verify(folder: Path, public_key: Path | None = None) -> dict[str, Any]:
    """Check a release, as it was assembled, or a run that was shipped: the sha256 of every file of its manifest, the signature of
    the checklist where a key is given, the checklist against weights, tokenizer, bundles and evidence, and the answers to the
    made-up texts. Of a release in several repositories each folder is checked as far as it goes. Returns the checklist. Raises
    ModelError with the first thing that is not as it was."""
    with explained(str(folder), "cannot be verified", SHOULD):
        return _verified(trusted(folder), public_key)


def _verified(folder: Path, public_key: Path | None) -> dict[str, Any]:
    """What `verify` does."""
    manifest: dict[str, Any] = {}
    if (folder / "recipe.yaml").is_file():
        for bundle in sorted(path for path in (folder / "bundles").glob("*") if path.is_dir()):
            verified(bundle)
    else:
        manifest = verified(folder)
    if not (folder / LIST).is_file():
        raise ModelError(str(folder), f"has no {LIST}: nothing was shown about it", SHOULD)
    if public_key is not None:
        check_signature(folder / LIST, public_key)
    found: dict[str, Any] = read_json(folder / LIST)
    if manifest.get("kind") == BUNDLE:
        _check_bundle(folder, manifest, found)
    elif manifest.get("kind") == ADAPTER:
        _check_adapter(folder, manifest, found)
    else:
        _check_checkpoint(folder, manifest, found)
    for item in found["items"]:
        file = folder / f"evidence/{item['check']}.json"
        if item["evidence"] is not None and (not file.is_file() or sha256(file) != item["evidence"]):
            raise ModelError(str(folder), f"the evidence of {item['check']} is not what was judged", SHOULD)
        if not item["passed"] and not item["waived"]:
            raise ModelError(str(folder), f"{item['check']} failed and was not waived: {item['reason']}", SHOULD)
    if manifest.get("kind") == ADAPTER or (manifest.get("lacking") and not (folder / SMOKE).is_file()):
        return found  # it answers with another model, or on another machine
    smoke = read_json(folder / SMOKE)
    if not same(_answers(Predictor.open(folder), smoke["rows"]), smoke["answers"]):
        raise ModelError(str(folder), "does not answer the texts of smoke.json as it did when it was released", SHOULD)
    return found


def _check_checkpoint(folder: Path, manifest: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises where weights, tokenizer or bundles are others; the bundles of weights alone are elsewhere."""
    model = folder if manifest else folder / "model"
    if sha256(model / MODEL) != found["weights"]:
        raise ModelError(str(folder), f"{LIST} was made for other weights", SHOULD)
    for name, digest in found["checkpoint"].items():
        if not (model / name).is_file() or sha256(model / name) != digest:
            raise ModelError(str(folder), f"{LIST} was made for another {name}", SHOULD)
    alone = manifest.get("kind") == WEIGHTS
    if alone and any(name.startswith("bundles/") for name in manifest["files"]):
        raise ModelError(str(folder), "holds bundles beside weights that are apart from them", SHOULD)
    for target, digest in {} if alone else found["bundles"].items():
        bundle = folder / f"bundles/{target}/manifest.json"
        if not bundle.is_file() or sha256(bundle) != digest:
            raise ModelError(str(folder), f"{LIST} was made for another bundle '{target}'", SHOULD)


def _check_adapter(folder: Path, manifest: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises where the adapter in a folder of its own is not the one of the run."""
    held = {name: facts["sha256"] for name, facts in manifest["files"].items() if name in ADAPTED}
    if not held or held != found.get("adapter"):
        raise ModelError(str(folder), f"{LIST} was made for another adapter", SHOULD)


def _adapter(run: Run) -> dict[str, str]:
    """The sha256 of the files of the adapter, as they are released."""
    with tempfile.TemporaryDirectory() as scratch:
        copy(adapter_files(run), Path(scratch))
        return {file.name: sha256(file) for file in sorted(Path(scratch).iterdir())}


def _check_bundle(folder: Path, manifest: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raises where a bundle in a folder of its own is another than that of the run, or has beside it what is none of it."""
    original = folder / BUNDLE_MANIFEST
    if not original.is_file() or sha256(original) != found["bundles"].get(manifest.get("target")):
        raise ModelError(str(folder), f"{LIST} was made for another bundle", SHOULD)
    named = read_json(original)
    beside = ("README.md", "manifest.json", BUNDLE_MANIFEST, SMOKE, LIST, f"{LIST}.sig")
    told = {key: entry for key, entry in named.items() if key != "files"} | {"kind": BUNDLE}
    files = {name: facts for name, facts in manifest["files"].items() if name not in beside and not name.startswith("evidence/")}
    if files != named["files"] or {key: entry for key, entry in manifest.items() if key != "files"} != told:
        raise ModelError(str(folder), "is not the bundle that the checklist was made for", SHOULD)


def smoke_apart(run: Run) -> dict[str, Any]:
    """What the weights and each bundle that this machine can run answer to the made-up texts, by the names of the pieces."""
    rows = read_json(run.path / SMOKE)["rows"]
    opened = {WEIGHTS: Predictor.open(run.path, "pytorch")}
    for piece, folder in pieces(run).items():
        if piece != ADAPTER and not read_json(folder / "manifest.json").get("lacking"):
            opened[piece] = Predictor.open(folder)
    return {piece: {"rows": rows, "answers": _answers(predictor, rows)} for piece, predictor in opened.items()}


def _row(predictor: Predictor, text: str) -> Row:
    """A row of the task in which every text is this one."""
    columns = predictor.task.columns
    texts = {role: text for role, column in columns.items() if column.text and column.required}
    return predictor.task.row(predictor.task.sample(texts) if texts else text)


def _answers(predictor: Predictor, rows: list[Row]) -> list[Any]:
    """The predictions for rows alone."""
    return [predictor.task.prediction(predictor.together([row])[0], predictor.config) for row in rows]
