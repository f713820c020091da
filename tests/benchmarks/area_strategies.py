"""strategies: CPU seconds of trainings on one thread, ours against a Trainer as it comes and against a tuned one, interleaved."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.goals import Goal, faster
from tests.benchmarks.processes import ONE_THREAD, answer

ROUNDS = 5
ROWS = 2048
SEEDS = (0, 1)
FEW, MANY = 20_000, 1_000_000
"""Rows of a store; the many are 4 GB."""
UNFREEZING = {"gradual_unfreezing": {"blocks_per_stage": 2}}
SOLVED: dict[str, dict[str, Any]] = {
    "full": {"strategy": {"head_then_full": {"solver": "lbfgs", "head_epochs": 0}}, "epochs": 1},
    "feature_extraction": {"strategy": {"feature_extraction": {"solver": "lbfgs"}}, "epochs": 0},
}
"""What a solved head makes of a strategy: how fewer epochs come to the loss of many."""


def measure() -> list[Goal]:
    """Full fine-tuning, a frozen body for ten epochs (first and second run), and gradual unfreezing over its whole schedule."""
    full = rounds("full", epochs=3, sides=("solved", "ours", "plain", "tuned"))
    frozen = rounds("feature_extraction", epochs=10, sides=("solved", "again", "plain"))
    opening = rounds(UNFREEZING, epochs=4, sides=("ours", "plain"))
    alike = goal("", full, "ours", "plain", 1.0).value
    return [
        goal("full fine-tuning, head solved and 1 epoch, over 3 epochs of Trainer", full, "solved", "plain", 6.0),
        worse("the same, held-out loss", full, "solved", "plain"),
        goal(
            f"full fine-tuning, 3 epochs ({alike:.2f} times over Trainer), over Trainer in bf16 by length",
            full,
            "ours",
            "tuned",
            1.3,
        ),
        worse("the same, held-out loss", full, "ours", "plain"),
        goal("feature extraction, head solved, over 10 epochs of Trainer with a frozen body", frozen, "solved", "plain", 120.0),
        goal("the same, a second run", frozen, "again", "plain", 1000.0),
        worse("the same, held-out loss", frozen, "solved", "plain"),
        goal("gradual unfreezing, the epoch with the top 2 of 6 blocks, over Trainer", stage(opening, 1), "ours", "plain", 5.0),
        goal("gradual unfreezing, 4 stages, over Trainer with the same blocks frozen", opening, "ours", "plain", 5.0),
        worse("gradual unfreezing, held-out loss", opening, "ours", "plain"),
        *reading(),
    ]


def reading() -> list[Goal]:
    """What a row of the store costs, over `datasets`, from few rows to many, and in memory."""
    sides = {"ours": ("ours", FEW), "peer": ("peer", FEW), "many": ("ours", MANY)}
    found: Found = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name, (side, rows) in sides.items():
                asked = json.dumps({"side": side, "rows": rows})
                program = ["-m", "tests.benchmarks.store_reading", asked, str(Path(folder) / str(rows))]
                found[name].append(answer(program, name, **ONE_THREAD))
    us = {name: statistics.median(entry["us"] for entry in entries) for name, entries in found.items()}
    memory = max(entry["mb"] for entry in found["many"])
    times, flat = (
        statistics.median(a["us"] / b["us"] for a, b in zip(found[over], found["ours"], strict=True)) for over in ("peer", "many")
    )
    return [
        Goal("reading a stored row, over datasets in torch format", f"{us['ours']:.2f} µs", f"{us['peer']:.2f} µs", times, 4.0),
        Goal(f"reading one of {MANY:,} rows, over one of {FEW:,}", f"{us['many']:.2f} µs", f"{us['ours']:.2f} µs", flat, 1.15,
             at_least=False),
        Goal(f"MB of anonymous memory over {MANY:,} rows", f"{memory:.0f} MB", "-", memory, 400, at_least=False),
    ]  # fmt: skip


Found = dict[str, list[dict[str, Any]]]


def stage(found: Found, epoch: int) -> Found:
    """What one epoch alone took."""
    return {side: [{"cpu_s": entry["epochs_s"][epoch]} for entry in entries] for side, entries in found.items()}


def rounds(
    strategy: Any, epochs: int, sides: tuple[str, ...], rows: int = ROWS, seeds: Sequence[int] = SEEDS, **more: Any
) -> Found:
    """What every side took in each round; `solved` is ours with a head that is solved, `again` the same with the store that this
    has filled, and `more` what the trainings are told beside."""
    found: Found = {side: [] for side in sides}
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            for side in sides:
                spec = {"strategy": strategy, "epochs": epochs, "rows": rows, "seed": seeds[number % len(seeds)], **more}
                other = SOLVED[strategy] if side in ("solved", "again") else {}
                found[side].append(train(side, {**spec, **other}, Path(folder)))
    return found


def train(side: str, spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One training in a process of its own."""
    asked = json.dumps({**spec, "side": side if side in ("plain", "tuned") else "ours"})
    program = ["-m", "tests.benchmarks.one_training", asked, str(folder / side)]
    return answer(program, f"{side} {spec}", **ONE_THREAD, HFRECIPES_FEATURES=str(folder / "features"))


def goal(figure: str, found: Found, ours: str, peer: str, bound: float) -> Goal:
    """The median of the rounds' ratios of CPU seconds."""
    return faster(f"{figure} (CPU seconds, median of {ROUNDS})", found, ours, peer, bound, "cpu_s", "s")


def worse(figure: str, found: Found, ours: str, peer: str) -> Goal:
    """How much higher our mean loss is than the peer's."""
    means = [statistics.mean(r["loss"] for r in found[side]) for side in (ours, peer)]
    return Goal(
        f"{figure}, ours minus the peer's", f"{means[0]:.4f}", f"{means[1]:.4f}", means[0] - means[1], 0.02, at_least=False
    )
