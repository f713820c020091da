"""Choice: of several graphs for one device the fastest that would be released, by its times and answers on held-out rows."""

from __future__ import annotations

import itertools
import logging
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.checks import Check, Trial
from hfrecipes.folder import size
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import agreement, measure, quantile

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe
    from hfrecipes.targets import Target
    from hfrecipes.tasks import Row

log = logging.getLogger("hfrecipes")
MOST = 512
"""Rows that candidates answer."""
SECONDS = 1.0
"""How long each candidate is timed at most, in turns with the others."""
TURNS = 64
"""Turns after which no more is learnt: 512 texts were answered one by one."""
ALONE, TOGETHER = 8, 64
"""Texts of a turn that are answered one by one, and in a list."""
WORTH = 0.9
"""What the time of a graph counts whose answers do not depend on their batch."""
KEPT = ("precision", "batch_dependent", "mb", "agreement", "scores", "p50_ms", "p95_ms", "list_ms")
"""What the table keeps of the facts."""
USUAL = ("parity", "quality")
"""The checks that candidates must pass where the recipe names none."""


@dataclass(frozen=True)
class Choice:
    """The `name` of the graph that was chosen, and the `table` of all: scores, agreement, MB, milliseconds, verdicts."""

    name: str
    table: list[dict[str, Any]]

    def keep(self, bundle: Path, graphs: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The graphs that stay: those without variants, then the chosen one under the name of its kind. Other files go."""
        kept = {name: graph for name, graph in graphs.items() if "/" not in name and name != self.name}
        kept[self.name.partition("/")[0]] = graphs[self.name]
        for graph in graphs.values():
            if graph not in kept.values():
                (bundle / graph["file"]).unlink()
        return kept


def choose(recipe: Recipe, bundle: Path, graphs: Mapping[str, Mapping[str, Any]], target: Target, rows: Iterable[Row]) -> Choice:
    """Measure the graphs of a bundle on held-out `rows`, and choose the fastest of those that the recipe's checks let through.

    The first graph is what the others are compared with, as PyTorch is on the test split; a minimum that it does not reach tells
    no graphs apart. Where none passes all checks, it is the fastest of those that fail the fewest: the release is refused later,
    with all figures.
    """
    held = list(itertools.islice(rows, MOST))
    candidates = {name: Predictor.over(bundle, graph, target.providers, threads=1) for name, graph in graphs.items()}
    first, metrics = next(iter(graphs)), recipe.metrics(next(iter(candidates.values())).config)
    measured = {name: measure(predictor, held, metrics) for name, predictor in candidates.items()}
    times = timed(candidates, [recipe.task.row(recipe.task.sample(row)) for row in held])
    facts = {
        name: {
            **graphs[name],
            "mb": size(bundle / graphs[name]["file"]) / 1e6,
            "agreement": agreement(found, measured[first]),
            "scores": found.scores,
            **times[name],
        }
        for name, found in measured.items()
    }
    trials = {
        name: Trial({"pytorch": facts[first], name: ours}, name, metrics[0].figure, metrics[0].lower_is_better)
        for name, ours in facts.items()
    }
    asked = [check for check in recipe.checks if check.of_candidates] or [Check.choose(usual) for usual in USUAL]
    judges: list[Check] = []
    for check in asked:
        verdict = check.judge(trials[first])
        judges.append(check if verdict.passed else check.among_graphs())
        if judges[-1] != check:
            log.warning("%s: %s: %s, on held-out rows; it is what graphs lose that counts", first, check.name, verdict.reason)
    table = []
    for name, trial in trials.items():
        verdicts = [check.judge(trial) for check in judges]
        row = {key: facts[name][key] for key in KEPT}
        failed = [f"{verdict.check}: {verdict.reason}" for verdict in verdicts if not verdict.passed]
        table.append({"name": name, **row, "failed": failed})
    return Choice(min(table, key=lambda entry: (len(entry["failed"]), cost(entry)))["name"], table)


def cost(entry: Mapping[str, Any]) -> float:
    """What a row of the table is chosen by: the geometric mean of its times, a tenth less where answers stand by themselves."""
    return math.sqrt(entry["p50_ms"] * entry["list_ms"]) * (1.0 if entry["batch_dependent"] else WORTH)


def timed(candidates: Mapping[str, Predictor], rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Milliseconds of processor time a text over turns of all candidates: one by one (`p50_ms`, `p95_ms`), and in a list (median
    of the turns, `list_ms`)."""
    alone: dict[str, list[float]] = {name: [] for name in candidates}
    listed: dict[str, list[float]] = {name: [] for name in candidates}
    until = time.perf_counter() + SECONDS * len(candidates)
    for turn in range(TURNS):
        begin = turn * TOGETHER % max(1, len(rows) - TOGETHER)
        some = rows[begin : begin + TOGETHER]
        for name, predictor in candidates.items():
            for row in some[:ALONE]:
                started = time.process_time()
                predictor.together([row])
                alone[name].append(1000 * (time.process_time() - started))
            started = time.process_time()
            predictor.answer(some)
            listed[name].append(1000 * (time.process_time() - started) / len(some))
        if time.perf_counter() > until:
            break
    return {
        name: {
            "p50_ms": quantile(alone[name], 0.5),
            "p95_ms": quantile(alone[name], 0.95),
            "list_ms": statistics.median(listed[name]),
        }
        for name in candidates
    }
