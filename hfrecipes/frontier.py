"""Frontier: every combination of the values that a recipe names, trained, exported and measured, and one of them picked."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import load_from_disk
from tqdm import tqdm

from hfrecipes import choice, verbs
from hfrecipes.arguments import check_arguments
from hfrecipes.baselines import baselines
from hfrecipes.errors import CheckFailed, RecipeError, UserError
from hfrecipes.folder import Run, opened, read_json, size, write_json, write_text
from hfrecipes.hardware import hardware
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import score
from hfrecipes.metrics import Metric
from hfrecipes.pick import Candidate, marked
from hfrecipes.plots import draw_pareto
from hfrecipes.recipe import Recipe
from hfrecipes.report import markdown_table
from hfrecipes.stages.export import export
from hfrecipes.stages.train import head_for, share

log = logging.getLogger("hfrecipes")
AFTER_TRAINING = ("compress", "export", "check")
"""Blocks that a training does not depend on: combinations that differ in them alone share one."""
MOST = 1000
"""Held-out rows that candidates answer."""


@dataclass(frozen=True)
class Combination:
    """Overrides of a recipe, by key, and the recipe that they make."""

    values: Mapping[str, Any]
    recipe: Recipe

    @property
    def name(self) -> str:
        """The values in words: `layers=3 compress=heads(keep=0.5)+recover(epochs=2)`."""
        return " ".join(f"{key.rpartition('.')[2]}={short(entry)}" for key, entry in self.values.items()) or "as it stands"

    @property
    def folder(self) -> str:
        """A name for its run that no other combination has."""
        return hashlib.sha256(json.dumps(self.values, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def training(self) -> str:
        """What its training depends on."""
        return json.dumps({key: entry for key, entry in self.values.items() if key.partition(".")[0] not in AFTER_TRAINING})


@dataclass(frozen=True)
class Frontier:
    """What was measured: `candidates` with the Pareto set marked, which was `picked` (None where nothing meets the rule or there
    is none) and the `reason`, all in the folder `path`."""

    path: Path
    figure: str
    rows: int
    candidates: tuple[Candidate, ...]
    picked: Candidate | None
    reason: str

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The candidates as texts, the best figure first."""
        header = ["candidate", "graph", self.figure, "p50 ms", "p95 ms", "ms in a list", "MB", "not beaten", "run"]
        rows = []
        for c in self.candidates:
            times = [f"{c.p50_ms:.2f}", f"{c.p95_ms:.2f}", f"{c.list_ms:.3f}", f"{c.mb:.1f}"]
            mark = "picked" if c == self.picked else "yes" if c.best else ""
            rows.append([c.name.partition(" | ")[0], c.graph or "-", f"{c.score:.4f}", *times, mark, c.run or "-"])
        return header, rows


def frontier(recipe: Recipe | Path, out: Path, overrides: Sequence[str] = (), beside: Sequence[Run] = ()) -> Frontier:
    """Measure all combinations of the values in the recipe's `frontier`, and choose by its `pick`. Runs that are there already
    may be measured `beside` them, and are not picked.

    Each is a run in `out/runs`; a training that several share is done once, and what was done before is not done again. All
    candidates (each graph of each run, and baselines) answer the same held-out rows of the validation split, timed in turns in
    one process with one thread. The run that is picked is measured on the test split, too, and judged by its checks. Writes
    `frontier.json`, `frontier.md` and `frontier.png`. Raises CheckFailed where nothing meets the rule, when all is written.
    """
    combined = combinations(recipe, overrides)
    base = combined[0].recipe
    for other in beside:
        check_beside(base, other)
    runs: dict[str, tuple[Combination, Run]] = {}
    trained: dict[str, tuple[Combination, Run]] = {}
    for combination in tqdm(combined, desc="combinations", disable=None):
        folder = out / "runs" / combination.folder
        log.info("%s: %s", folder, combination.name)
        if combination.training in trained and not folder.exists():
            same, source = trained[combination.training]
            share(source, same.recipe, Run(folder), combination.recipe)
        run = verbs.learn(combination.recipe, folder)
        trained.setdefault(combination.training, (combination, run))
        export(combination.recipe, run)
        runs[combination.name] = combination, run
    candidates, metric, count = measured(base, runs, out, beside)
    picked, reason = None, "the recipe names no rule: write `pick: {max_drop: 0.01}`"
    if base.pick is not None:
        servable = [candidate for candidate in candidates if candidate.run]
        picked, reason = base.pick.choose(servable, metric.lower_is_better)
    found = Frontier(out, metric.figure, count, tuple(candidates), picked, reason)
    write(found)
    if picked is not None:
        combination, run = next(pair for pair in runs.values() if str(pair[1].path.relative_to(out)) == picked.run)
        verbs.run(combination.recipe, run.path)
    if base.pick is not None and picked is None:
        raise CheckFailed(f"{reason}. The candidates are in {out / 'frontier.md'}")
    return found


def combinations(recipe: Recipe | Path, overrides: Sequence[str] = ()) -> list[Combination]:
    """The recipes that the values in `frontier` make, all checked, those that share a training one after another. Raises
    RecipeError where there are none, and where one is wrong."""
    base = recipe.changed(overrides) if isinstance(recipe, Recipe) else Recipe.load(recipe, overrides)
    if not base.frontier:
        example = "`frontier: {model.layers: [6, 3]}`"
        raise RecipeError(f"{base.name}.frontier", "names nothing to combine", f"Write keys and their values: {example}")
    if not base.export:
        raise RecipeError(f"{base.name}.export", "names no target, so there is nothing to measure", "Write `export: [cpu]`")
    keys = sorted(base.frontier, key=lambda key: key.partition(".")[0] in AFTER_TRAINING)
    found = []
    for entries in itertools.product(*(base.frontier[key] for key in keys)):
        values = dict(zip(keys, entries, strict=True))
        changes = [f"{key}={json.dumps(entry)}" for key, entry in values.items()]
        made = base.changed(changes)
        head_for(made)
        check_arguments(made)
        found.append(Combination(values, dataclasses.replace(made, frontier={})))
    return found


def check_beside(base: Recipe, other: Run, rows: Run | None = None) -> None:
    """Refuse a run that cannot be measured beside those of a recipe: it does another task, has no bundle, or was cut into other
    rows of training and validation than the run `rows`. Raises UserError."""
    where = f"--beside {other.path}"
    if not (other.bundles / "index.json").is_file():
        raise UserError(where, "is no run with a bundle", "Run `hfrecipes ship` on it")
    task = Recipe.load(other.recipe_file).task.name
    if task != base.task.name:
        raise UserError(where, f"does {task}", f"Give a run that does {base.task.name}")
    if rows is not None and len({read_json(run.data / "facts.json")["fingerprint"] for run in (other, rows)}) > 1:
        what = "was trained on other rows, perhaps on those that are measured here"
        raise UserError(where, what, "Give a run of the same data, `validation_size` and `seed`")


def measured(
    base: Recipe, runs: Mapping[str, tuple[Combination, Run]], out: Path, beside: Sequence[Run] = ()
) -> tuple[list[Candidate], Metric, int]:
    """Every graph of every run, of those `beside` them, and the baselines on the same held-out rows: the candidates, best figure
    first, the metric that decides, and the number of rows."""
    predictors: dict[str, Predictor] = {}
    facts: dict[str, dict[str, Any]] = {}
    first = next(iter(runs.values()))[1]
    for other in beside:
        check_beside(base, other, first)
    for name, run in [*((name, run) for name, (_, run) in runs.items()), *((other.path.name, other) for other in beside)]:
        for target in read_json(run.bundles / "index.json")["targets"]:
            manifest = opened(run.bundles / target)
            for graph, described in manifest["graphs"].items():
                key = f"{name} | {target}/{graph}"
                predictors[key] = Predictor.over(run.bundles / target, described, manifest["providers"], threads=1)
                mb = size(run.bundles / target / described["file"]) / 1e6
                facts[key] = {
                    "run": None if run in beside else str(run.path.relative_to(out)),
                    "graph": f"{target}/{graph}",
                    "mb": mb,
                }
    for name, baseline in baselines(first).items():
        predictors[name] = baseline.predictor
        facts[name] = {"run": None, "graph": None, "mb": baseline.mb}
    held = list(itertools.islice(load_from_disk(str(first.data / "validation_rows")), MOST))
    metrics = base.metrics(next(iter(predictors.values())).config)
    scores = {name: score(predictor, held, metrics)[0][metrics[0].figure] for name, predictor in predictors.items()}
    times = choice.timed(predictors, [base.task.row(base.task.sample(row)) for row in held])
    found = [Candidate(**{"name": name, "score": scores[name], **facts[name], **times[name]}) for name in predictors]
    sign = 1 if metrics[0].lower_is_better else -1
    return sorted(marked(found, metrics[0].lower_is_better), key=lambda c: sign * c.score), metrics[0], len(held)


def write(found: Frontier) -> None:
    """The files of a frontier."""
    values = {
        "figure": found.figure,
        "rows": found.rows,
        "hardware": hardware(),
        "candidates": [dataclasses.asdict(candidate) for candidate in found.candidates],
        "picked": found.picked and found.picked.name,
        "reason": found.reason,
    }
    write_json(found.path / "frontier.json", values)
    draw_pareto(found.candidates, found.picked, found.figure, found.path / "frontier.png")
    said = f"On {found.rows} held-out rows of the validation split, one thread, milliseconds of processor time."
    parts = ["# Frontier", said, markdown_table(*found.table()), f"Picked: {found.reason}.", "![frontier.png](frontier.png)"]
    write_text(found.path / "frontier.md", "\n\n".join(parts) + "\n")


def short(entry: Any) -> str:
    """A value of a recipe in few characters: `[{heads: {keep: 0.5}}, magnitude]` as `heads(keep=0.5)+magnitude`."""
    if entry in (None, [], {}):
        return "none"
    if isinstance(entry, list):
        return "+".join(map(short, entry))
    if not isinstance(entry, Mapping):
        return str(entry)
    if len(entry) == 1:
        [(name, options)] = entry.items()
        if isinstance(options, Mapping):
            return f"{name}({','.join(f'{key}={short(each)}' for key, each in options.items())})" if options else str(name)
    return ",".join(f"{key}={short(each)}" for key, each in entry.items())
