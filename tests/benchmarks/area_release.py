"""release: two real tasks show the whole checklist; what is promised is covered; a release moves within a second, whole.

`HFRECIPES_DATA` names the folder of data sets that `recipes/` speaks of. Runs that lie in `runs/` under a recipe's name are
taken as they are; others are trained, which takes a quarter of an hour each.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hfrecipes import Predictor
from hfrecipes.checks import CHECKLIST
from hfrecipes.folder import Run, read_json, write_json
from hfrecipes.registry import Registry
from hfrecipes.release import assemble
from hfrecipes.uncertainty import COVERAGE, UNFITTED, calibration_error, coverage_of, judged
from hfrecipes.verification import verify
from tests.benchmarks.goals import Goal

SHIPPED = ("bert/banking77_release", "bert/wnut17_release")
FITTED = {
    "bert/qamr": ["data.max_samples=3000", "train.num_train_epochs=2"],
    "t5/tatoeba": ["data.max_samples=2000", "train.max_steps=100", "before=false"],
}
"""Recipes of which the coverage is told, made small."""
TESTS = ("tests/hub", "tests/registry", "tests/test_checklist.py")


def measure() -> list[Goal]:
    """The whole table."""
    if "HFRECIPES_DATA" not in os.environ:
        sys.exit("HFRECIPES_DATA is not set: the recipes of this area read their data there")
    goals = []
    for name in SHIPPED:
        run = made(name, "run", [])
        verdicts = read_json(run / "checks.json")
        passed = sum(verdict["passed"] for verdict in verdicts if verdict["check"] in CHECKLIST)
        goals.append(Goal(f"{run.name}: items of the checklist that pass", f"{passed} of {len(CHECKLIST)}", "", passed, 10))
        goals += [*confidence(run, name == SHIPPED[0]), *moved(run)]
    for name, changes in FITTED.items():
        told(made(name, "fit", changes), "pytorch")
    return [*goals, *tested()]


def made(name: str, verb: str, changes: list[str]) -> Path:
    """The run of a recipe."""
    run = Path("runs") / Path(name).name
    if not (run / "report.json").is_file():
        subprocess.run([sys.executable, "-m", "hfrecipes", verb, f"recipes/{name}.yaml", *changes], stdout=sys.stderr)
    if not (run / "report.json").is_file():
        sys.exit(f"{name} did not come to a report: its error stands above")
    return run


def worth(run: Path, graph: str) -> dict[str, Any]:
    """What the confidence of a graph is worth on the test rows, with its temperature and without."""
    rows = read_json(run / "answers/rows.json")
    fitted = Predictor.open(run, graph, threads=1)
    found: dict[str, Any] = {"temperature": fitted.uncertainty.temperature}
    for which, asker in {"plain": dataclasses.replace(fitted, uncertainty=UNFITTED), "fitted": fitted}.items():
        claims, scores = judged(asker, rows, asker.answer([asker.task.row(row) for row in rows]))
        found[which] = calibration_error(claims)
    held = bool(fitted.uncertainty.nonconformity and scores)
    found["coverage"] = coverage_of(scores, fitted.uncertainty.limit(COVERAGE)) if held else None
    return found


def told(run: Path, graph: str) -> dict[str, Any]:
    """The same, told beside the table."""
    found = worth(run, graph)
    print(run.name, graph, {key: None if each is None else round(each, 4) for key, each in found.items()})
    return found


def confidence(run: Path, classes: bool) -> list[Goal]:
    """Calibration error with the temperature over that without; for classes how far the coverage is from what was asked for."""
    goals = []
    for graph in ("cpu/fp32", "cpu/int8"):
        found = told(run, graph)
        ratio = found["fitted"] / found["plain"]
        errors = [f"{found[which]:.4f}" for which in ("fitted", "plain")]
        goals.append(Goal(f"{run.name} {graph}: calibration error with a temperature, over without", *errors, ratio, 1.0, False))
        if classes:
            gap = abs(found["coverage"] - COVERAGE)
            goals.append(
                Goal(f"{run.name} {graph}: coverage, from {COVERAGE:.0%}", f"{found['coverage']:.1%}", "", gap, 0.02, False)
            )
    return goals


def moved(run: Path) -> list[Goal]:
    """A release of real size goes into production and back: seconds, and the answers before and after."""
    rows = [row.get("text", row.get("tokens")) for row in read_json(run / "answers/rows.json")[:200]]
    with tempfile.TemporaryDirectory() as scratch:
        place = Registry(Path(scratch) / "registry", verify)
        for number in (1, 2):
            folder = Path(scratch) / f"release{number}"
            assemble(Run(run), folder)
            place.add(renamed(folder, number))
        place.promote("v1")
        before = repr(Predictor.open(place.path, threads=1)(rows))
        place.promote("v2")
        started = time.perf_counter()
        place.rollback()
        took = time.perf_counter() - started
        same = repr(Predictor.open(place.path, threads=1)(rows)) == before
    return [
        Goal(f"{run.name}: seconds of a rollback, verified and asked", f"{took:.2f} s", "", took, 1.0, at_least=False),
        Goal(f"{run.name}: answers after promote and rollback equal to those before", str(same), "", float(same), 1.0),
    ]


def renamed(folder: Path, number: int) -> Path:
    """A release that differs from the others by its name."""
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**manifest, "run": f"{manifest['run']}{number}"})
    return folder


def tested() -> list[Goal]:
    """The tests of faults, kills and planted defects, all of which have to pass."""
    goals = []
    for file in TESTS:
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", file], stdout=subprocess.PIPE, text=True)
        last = done.stdout.strip().splitlines()[-1]
        counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", last)}
        bad = counts.get("failed", 0) + counts.get("error", 0)
        goals.append(
            Goal(f"{file}: tests that fail", f"{counts.get('passed', 0)} pass", "", bad + (done.returncode != 0), 0, False)
        )
    return goals
