"""Verification: whether a release is what its checklist was made for, and answers as it did then."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.checks import CHECKLIST
from hfrecipes.errors import ModelError
from hfrecipes.folder import Run, read_json, sha256, verified, write_json
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import same
from hfrecipes.release import checkpoint_files
from hfrecipes.signing import check_signature, sign

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe
    from hfrecipes.tasks import Row

LIST, SMOKE = "checklist.json", "smoke.json"
WEIGHTS = "model.safetensors"
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
    made-up texts. Returns the checklist. Raises ModelError with
    the first thing that is not as it was."""
    run = (folder / "recipe.yaml").is_file()
    if run:
        model = folder / "model"
        for bundle in sorted(path for path in (folder / "bundles").glob("*") if path.is_dir()):
            verified(bundle)
    else:
        model = folder
        verified(folder)
    if not (folder / LIST).is_file():
        raise ModelError(str(folder), f"has no {LIST}: nothing was shown about it", SHOULD)
    if public_key is not None:
        check_signature(folder / LIST, public_key)
    found: dict[str, Any] = read_json(folder / LIST)
    if sha256(model / WEIGHTS) != found["weights"]:
        raise ModelError(str(folder), f"{LIST} was made for other weights", SHOULD)
    for name, digest in found["checkpoint"].items():
        if not (model / name).is_file() or sha256(model / name) != digest:
            raise ModelError(str(folder), f"{LIST} was made for another {name}", SHOULD)
    for target, digest in found["bundles"].items():
        manifest = folder / f"bundles/{target}/manifest.json"
        if not manifest.is_file() or sha256(manifest) != digest:
            raise ModelError(str(folder), f"{LIST} was made for another bundle '{target}'", SHOULD)
    for item in found["items"]:
        file = folder / f"evidence/{item['check']}.json"
        if item["evidence"] is not None and (not file.is_file() or sha256(file) != item["evidence"]):
            raise ModelError(str(folder), f"the evidence of {item['check']} is not what was judged", SHOULD)
        if not item["passed"] and not item["waived"]:
            raise ModelError(str(folder), f"{item['check']} failed and was not waived: {item['reason']}", SHOULD)
    smoke = read_json(folder / SMOKE)
    if not same(_answers(Predictor.open(folder), smoke["rows"]), smoke["answers"]):
        raise ModelError(str(folder), "does not answer the texts of smoke.json as it did when it was released", SHOULD)
    return found


def _row(predictor: Predictor, text: str) -> Row:
    """A row of the task in which every text is this one."""
    columns = predictor.task.columns
    texts = {role: text for role, column in columns.items() if column.text and column.required}
    return predictor.task.row(predictor.task.sample(texts) if texts else text)


def _answers(predictor: Predictor, rows: list[Row]) -> list[Any]:
    """The predictions for rows alone."""
    return [predictor.task.prediction(predictor.together([row])[0], predictor.config) for row in rows]
