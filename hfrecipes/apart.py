"""Apart: a release as several folders, one for each of its repositories on the Hub.

me/x            the weights: the checkpoint, card, checklist with evidence, report and plots; its manifest names the others
me/x-onnx-cpu   a bundle at the root, where transformers.js looks for it, with `bundle.json`, its manifest in the run
me/x-adapter    the adapter at the root, where PEFT looks for it

Each has a card and the checklist, so that each can be verified alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfrecipes.folder import Run, read_json, seal, sha256, staged, write_json
from hfrecipes.release import adapter_files, bundle_files, checkpoint_files, copy, shown_files

ADAPTER, WEIGHTS, BUNDLE, BUNDLE_MANIFEST = "adapter", "weights", "bundle", "bundle.json"
CARDS = "cards"
"""The folder of a run with the cards of what is apart from the weights."""
CHECKLIST = ("checklist.json", "checklist.json.sig", "evidence/")


def pieces(run: Run) -> dict[str, Path]:
    """What of a run gets a repository of its own beside that of the weights: its folder, by what is put behind their name."""
    found = {of_bundle(file.parent.name): file.parent for file in sorted(run.bundles.glob("*/manifest.json"))}
    return found | ({ADAPTER: run.adapter} if adapter_files(run) else {})


def of_bundle(target: str) -> str:
    """The name of the piece that is the bundle of a target."""
    return f"onnx-{target}"


def repository(weights: str, piece: str) -> str:
    """The repository of a piece, or of the weights themselves."""
    return weights if piece == WEIGHTS else f"{weights}-{piece}"


def assemble_apart(run: Run, root: Path, weights: str, smoke: Mapping[str, Any]) -> dict[str, Path]:
    """Make a sealed folder below `root` for each piece, and last for the weights, which go to the repository of that name.
    `smoke` has what each answers to made-up texts, as far as it answers here."""
    made = {}
    checklist = [(source, target) for source, target in shown_files(run) if target.startswith(CHECKLIST)]
    for piece, source in pieces(run).items():
        card = (run.path / CARDS / f"{piece}.md", "README.md")
        if piece == ADAPTER:
            files, facts = adapter_files(run), {"kind": ADAPTER}
        else:
            files = [(file, BUNDLE_MANIFEST if name == "manifest.json" else name) for file, name in bundle_files(source)]
            facts = {**read_json(source / "manifest.json"), "kind": BUNDLE}
        made[piece] = _sealed(root / piece, [*files, *checklist, card], facts, smoke.get(piece))
    named = {repository(weights, piece): sha256(folder / "manifest.json") for piece, folder in made.items()}
    files = [*checkpoint_files(run), *((source, target) for source, target in shown_files(run) if target != "smoke.json")]
    made[WEIGHTS] = _sealed(root / WEIGHTS, files, {"kind": WEIGHTS, "apart": named}, smoke[WEIGHTS])
    return made


def _sealed(folder: Path, files: list[tuple[Path, str]], facts: Mapping[str, Any], smoke: Any) -> Path:
    with staged(folder) as fresh:
        copy(files, fresh)
        if smoke is not None:
            write_json(fresh / "smoke.json", smoke)
        seal(fresh, {key: fact for key, fact in facts.items() if key not in ("format", "files")})
    return folder
