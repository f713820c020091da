"""export: one bundle for each target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.checkpoint import KEPT, copy_reader, load_trained, open_reader
from hfrecipes.folder import Run, read_json, seal, sha256, staged, write_json
from hfrecipes.stages import stage, trained

if TYPE_CHECKING:
    import numpy as np

    from hfrecipes.recipe import Recipe

CALIBRATION_BATCHES = 16


@stage(blocks=("export",), after=lambda recipe: ("prepare", trained(recipe)), outputs=("bundles",))
def export(recipe: Recipe, run: Run) -> None:
    """Convert, quantize and seal the bundles; the first target of the recipe is the one to serve."""
    import dataclasses

    samples = batches(run)
    with staged(run.bundles) as folder:
        for target in recipe.export:
            bundle = folder / target.name
            bundle.mkdir()
            model = load_trained(run.model).eval()
            graphs = target.export(model, samples, bundle)
            copy_reader(run.model, bundle)
            seal(
                bundle,
                {
                    "target": target.name,
                    "providers": list(target.providers),
                    "default": list(graphs)[-1],
                    "graphs": {name: dataclasses.asdict(graph) for name, graph in graphs.items()},
                    "checkpoint": sha256(run.model / "model.safetensors"),
                },
            )
        write_json(folder / "index.json", {"default": recipe.export[0].name, "targets": [t.name for t in recipe.export]})


def batches(run: Run) -> list[dict[str, np.ndarray]]:
    """Batches of the run's own training rows, of at least two rows: what a target traces with and calibrates on."""
    from datasets import load_from_disk

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
