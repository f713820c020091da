"""Beside: two runs side by side: what their recipes say otherwise, what one gains for certain, and what both cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfrecipes.bootstrap import Difference, difference
from hfrecipes.errors import RunError
from hfrecipes.folder import Run, read_json
from hfrecipes.report import Report
from hfrecipes.retention import answered, deciding

OF_A_MACHINE = ("data.fingerprint",)
"""Keys that a run writes into its recipe."""


@dataclass(frozen=True)
class Beside:
    """Two runs: the keys of their recipes that differ, with both values; for each candidate that both have the gain of the second
    run, or why none is known; and a table of costs."""

    recipe: list[tuple[str, Any, Any]]
    gains: dict[str, Difference | str]
    costs: list[list[str]]

    def tables(self, names: tuple[str, str]) -> list[tuple[list[str], list[list[str]]]]:
        """Header and rows of what is said, as texts."""
        keys = [[key, _said(one), _said(other)] for key, one, other in self.recipe]
        gains = [[name, gain if isinstance(gain, str) else str(gain), _words(gain)] for name, gain in self.gains.items()]
        return [
            (["recipe", *names], keys or [["(the same)", "", ""]]),
            (["candidate", "gain of the second (95 % interval)", ""], gains),
            (["cost", *names], self.costs),
        ]


def compare(first: str | Path, second: str | Path) -> Beside:
    """Two finished runs. Raises RunError where one is not, or both have no candidate in common."""
    reports = [Report.load(folder) for folder in (first, second)]
    runs = [Run.open(folder) for folder in (first, second)]
    one, other = ({candidate.name: candidate for candidate in report.frontier} for report in reports)
    common = [name for name in one if name in other]
    if not common:
        raise RunError(str(second), f"has no candidate that {first} has", "Run both with the same targets")
    rows = [read_json(run.answers / "rows.json") for run in runs]
    gains = {name: _gain(runs, name) if rows[0] == rows[1] else "measured on other rows" for name in common}
    costs = []
    for name in common:
        pair = one[name], other[name]
        costs.append([f"{name} MB", *(f"{candidate.mb:.1f}" for candidate in pair)])
        costs.append([f"{name} p50 ms", *(f"{candidate.p50_ms:.2f}" for candidate in pair)])
        costs.append([f"{name} sentences/s", *(f"{candidate.sentences_per_s:.0f}" for candidate in pair)])
    spent = [report.values["seconds"].get("train", 0.0) / 60 for report in reports]
    costs.append(["minutes of training", *(f"{minutes:.1f}" for minutes in spent)])
    changed = [entry for entry in differing(*(report.values["recipe"] for report in reports)) if entry[0] not in OF_A_MACHINE]
    return Beside(changed, gains, costs)


def _gain(runs: list[Run], candidate: str) -> Difference | str:
    """What the second run gains by the metric that decides in the first."""
    from hfrecipes.recipe import Recipe

    config = read_json(runs[0].model / "config.json")
    try:
        metric = deciding(runs[0], config)
    except RunError as error:
        return error.what
    task = Recipe.load(runs[0].recipe_file).task
    references = [task.reference(row, config) for row in read_json(runs[0].answers / "rows.json")]
    before, after = (answered(run, candidate)["predictions"]["served"] for run in runs)
    return difference(metric, before, after, references)


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The keys, as `train.seed`, for which nested values differ, with both; None where one has none."""
    flat, flatter = _flat(one), _flat(other)
    keys = sorted({*flat, *flatter})
    return [(key, flat.get(key), flatter.get(key)) for key in keys if flat.get(key) != flatter.get(key)]


def _flat(values: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(values, Mapping) or not values:
        return {path: values}
    return {key: entry for name, inner in values.items() for key, entry in _flat(inner, f"{path}.{name}".lstrip(".")).items()}


def _said(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def _words(gain: Difference | str) -> str:
    if isinstance(gain, str):
        return ""
    return "better" if gain.better else "worse" if gain.interval[1] < 0 else "may be chance"
