"""export: one bundle for each target."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from datasets import load_from_disk

from hfrecipes.checkpoint import KEPT, copy_reader, load_trained, open_reader
from hfrecipes.choice import choose
from hfrecipes.folder import Run, read_json, seal, sha256, staged, write_json
from hfrecipes.stages import log, stage, trained

if TYPE_CHECKING:
    import numpy as np

    from hfrecipes.recipe import Recipe

CALIBRATION_BATCHES = 16
WEIGHTS = "model.safetensors"


@stage(blocks=("export", "check", "evaluate"), after=lambda recipe: ("prepare", trained(recipe)), outputs=("bundles",))
def export(recipe: Recipe, run: Run) -> None:
    """Convert, quantize and seal the bundles; the first target of the recipe is the one to serve."""
    samples = batches(run)
    with staged(run.bundles) as folder:
        for target in recipe.export:
            bundle = folder / target.name
            bundle.mkdir()
            made = target.export(load_trained(run.model).eval(), samples, bundle)
            copy_reader(run.model, bundle)
            graphs = {name: dataclasses.asdict(graph) for name, graph in made.items()}
            facts: dict[str, Any] = {
                "target": target.name,
                "providers": list(target.providers),
                "checkpoint": sha256(run.model / WEIGHTS),
            }
            if any("/" in name for name in graphs):
                found = choose(recipe, bundle, graphs, target, load_from_disk(str(run.data / "validation_rows")))
                log.info("%s: %s of %s", target.name, found.name, ", ".join(graphs))
                graphs, facts["choice"] = found.keep(bundle, graphs), found.table
            seal(bundle, {**facts, "default": list(graphs)[-1], "graphs": graphs})
        write_json(folder / "index.json", {"default": recipe.export[0].name, "targets": [t.name for t in recipe.export]})


def batches(run: Run) -> list[dict[str, np.ndarray]]:
    """Batches of the run's own training rows, of at least two rows: what a target traces with and calibrates on."""
    task, _, tokens = open_reader(run.model)
    rows = load_from_disk(str(run.data / "train"))
    names = set(tokens.inputs)
    size = 8
    count = min(CALIBRATION_BATCHES, max(1, len(rows) // size))
    chosen = [rows[i * size : (i + 1) * size] for i in range(count)]
    file = run.model / KEPT
    fresh = {old: new for new, old in enumerate(read_json(file))} if file.is_file() else {}
    singles = [[{n: batch[n][i] for n in names if n in batch} for i in range(len(batch["input_ids"]))] for batch in chosen]
    for rows_of in singles if fresh else []:
        for features in rows_of:
            features["input_ids"] = [fresh.get(i, tokens.pad_id) for i in features["input_ids"]]
    return [task.collate(features * 2 if len(features) == 1 else features, tokens) for features in singles]
