"""measure: every graph of every bundle on the rows that the PyTorch model was measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.folder import Run, opened, read_json, size, staged
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import Measured, agreement
from hfrecipes.measurement import measure as measured
from hfrecipes.stages import log, stage
from hfrecipes.stages.evaluate import write_candidate

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe


@stage(blocks=("evaluate",), after=("evaluate", "export"), outputs=("measured",))
def measure(recipe: Recipe, run: Run) -> None:
    """Score, time and compare each graph with the PyTorch model."""
    rows = read_json(run.answers / "rows.json")
    pytorch = read_json(run.answers / "pytorch.json")
    base = Measured({}, pytorch["predictions"], {})
    with staged(run.path / "measured") as folder:
        for target in read_json(run.bundles / "index.json")["targets"]:
            manifest = opened(run.bundles / target)
            if "lacking" in manifest:
                log.info("%s: this machine lacks %s, nothing is measured", target, manifest["lacking"])
                continue
            for name, graph in manifest["graphs"].items():
                predictor = Predictor.open(run.path, f"{target}/{name}")
                found = measured(predictor, rows, recipe.metrics(predictor.config))
                facts = {
                    "mb": size(run.bundles / target / graph["file"]) / 1e6,
                    "precision": graph["precision"],
                    "split": pytorch["facts"]["split"],
                    "agreement": agreement(found, base),
                }
                write_candidate(folder, f"{target}/{name}", found, facts)
