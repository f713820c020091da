"""export: one bundle for each target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import load_from_disk

from hfrecipes import alarms, traffic, uncertainty
from hfrecipes.calibration import MOST, fit
from hfrecipes.checkpoint import KEPT, copy_reader, load_trained, open_reader
from hfrecipes.choice import Choice, choose
from hfrecipes.config import dump
from hfrecipes.folder import Run, read_json, seal, sha256, staged, write_json
from hfrecipes.inference.engines import onnx_engine, torch_engine
from hfrecipes.inference.predictor import Predictor
from hfrecipes.stages import held_out, log, stage, trained
from hfrecipes.traces import forget_traces

if TYPE_CHECKING:
    import numpy as np

    from hfrecipes.recipe import Recipe
    from hfrecipes.tasks import Row

CALIBRATION_BATCHES = 16
FEW = 32
"""Rows below which ranges may miss what activations can be."""


@stage(
    blocks=("export", "evaluate"),
    after=lambda recipe: ("prepare", trained(recipe)),
    outputs=("bundles",),
    source=lambda recipe, run: [
        *(dump(check) for check in recipe.checks if check.of_candidates),
        *(found for target in recipe.export if (found := target.signature())),
    ],
)
def export(recipe: Recipe, run: Run) -> None:
    """Convert, quantize and seal the bundles; the first target of the recipe that this machine can run is the one to serve."""
    samples, lacking = batches(run), {target.name: target.lacking() for target in recipe.export}
    rows = sum(len(batch["input_ids"]) for batch in samples)
    held = held_out(run, MOST)
    with staged(run.bundles) as folder:
        for target in recipe.export:
            bundle = folder / target.name
            bundle.mkdir()
            model = load_trained(run.model).eval()
            exact = {} if lacking[target.name] is None or model.can_generate() else torch_engine(model)(samples[0])
            copy_reader(run.model, bundle)
            made = target.export(model, samples, bundle)
            forget_traces(bundle)
            graphs = {name: dataclasses.asdict(graph) for name, graph in made.items()}
            facts: dict[str, Any] = {
                "target": target.name,
                "providers": list(target.providers),
                "checkpoint": sha256(run.weights),
            }
            if rows < FEW and any("static" in graph["precision"] for graph in graphs.values()):
                log.warning(
                    "%s: the ranges of static int8 come from %d rows; %d or more make them reliable", target.name, rows, FEW
                )
            if any("/" in name for name in graphs):
                found = Choice(list(graphs)[-1], []) if lacking[target.name] else choose(recipe, bundle, graphs, target, held)
                log.info("%s: %s of %s", target.name, found.name, ", ".join(graphs))
                graphs, facts["choice"] = found.keep(bundle, graphs), found.table
            if lack := lacking[target.name]:
                facts |= {"lacking": lack, "examined": examine(bundle, graphs, samples[0], exact)}
                log.info("%s: this machine lacks %s, so the structure of the bundle is checked, not its speed", target.name, lack)
            else:
                opened = {name: fit(Predictor.over(bundle, graph, target.providers), held) for name, graph in graphs.items()}
                worth = {name: uncertainty.dump(predictor.uncertainty) for name, (predictor, _) in opened.items()}
                write_json(bundle / uncertainty.FILE, worth)
                if watched := baseline(list(graphs)[-1], *opened[list(graphs)[-1]], held):
                    write_json(bundle / traffic.FILE, {"weights": facts["checkpoint"], **watched})
            seal(bundle, {**facts, "default": list(graphs)[-1], "graphs": graphs})
        first = next((name for name, lack in lacking.items() if lack is None), recipe.export[0].name)
        write_json(folder / "index.json", {"default": first, "targets": list(lacking)})


def baseline(name: str, predictor: Predictor, answers: Sequence[Any], rows: Sequence[Row]) -> dict[str, Any]:
    """What a monitor compares with the answers of the graph `name`; nothing where the checkpoint's baseline says as much, since
    answers have no confidence or the rows are too few."""
    if predictor.task.generates or predictor.task.by_likelihood or len(rows) < alarms.FEWEST:
        return {}
    return {"graph": name, alarms.KEY: alarms.fit(predictor, rows, answers)}


def examine(
    bundle: Path, graphs: Mapping[str, Mapping[str, Any]], sample: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]
) -> dict[str, float | None]:
    """For each graph that this machine cannot run as it is meant to: whether it is valid ONNX (else an error is raised), and how
    far its answers on the CPU are from the PyTorch model's, as a share of them (None where a model writes)."""
    import numpy as np
    import onnx

    found: dict[str, float | None] = {}
    for name, graph in graphs.items():
        file = bundle / graph["file"]
        for each in [file] if file.is_file() else sorted(file.rglob("*.onnx")):
            onnx.checker.check_model(str(each))
        found[name] = None
        if exact:
            outputs = onnx_engine(file, ["CPUExecutionProvider"], threads=1)(sample)
            pairs = [(outputs[key], exact[key]) for key in outputs if key in exact]
            found[name] = max(float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)) for ours, theirs in pairs)
    return found


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
