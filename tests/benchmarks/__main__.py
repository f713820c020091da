"""`make bench ONLY=<area>`: the machine, and the table of an area with goals and peers; exit 1 unless every goal is met."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from hfrecipes.report import markdown_table
from tests.benchmarks import machine
from tests.benchmarks.goals import Goal

AREAS = sorted(path.stem for path in Path(__file__).parent.glob("area_*.py"))


def main(only: str) -> int:
    """Run one area, or all of them."""
    chosen = [f"area_{only}"] if only else AREAS
    if not set(chosen) <= set(AREAS):
        print(f"unknown area '{only}'. One of: {', '.join(name.removeprefix('area_') for name in AREAS)}")
        return 2
    missed = 0
    print(machine.describe())
    for name in chosen:
        goals: list[Goal] = importlib.import_module(f"tests.benchmarks.{name}").measure()
        print(markdown_table(["figure", "ours", "peer", "goal", "met"], [goal.row() for goal in goals]))
        met = sum(goal.met for goal in goals)
        missed += len(goals) - met
        print(f"{name.removeprefix('area_')}: {met} of {len(goals)} goals met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
