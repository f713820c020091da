"""fit: the demo's recipe against the same hyperparameters in a plain Trainer (`plain_trainer.py`), in interleaved runs."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.goals import Goal
from tests.benchmarks.processes import answer

ROUNDS, STEPS, EPOCHS = 3, 40, 6
OURS = """
import json, sys, time
from hfrecipes import Recipe, fit
import hfrecipes.trainer as t
spent = {}
class Timed(t.RecipeTrainer):
    def train(self, **options):
        cpu, wall = time.process_time(), time.perf_counter()
        done = super().train(**options)
        spent.update(cpu_s=time.process_time() - cpu, wall_s=time.perf_counter() - wall)
        return done
t.RecipeTrainer = Timed
steps = int(sys.argv[2])
short = [f"train.max_steps={steps}", "train.eval_strategy=no", "train.save_strategy=no"] if steps > 0 else []
run = fit(Recipe.load("recipes/bert/banking77.yaml", [f"train.num_train_epochs={sys.argv[1]}", *short]), sys.argv[3])
facts = json.loads((run.answers / "pytorch.json").read_text())["facts"]
print(json.dumps({"accuracy": facts["scores"]["accuracy"], **spent}))
"""


def measure() -> list[Goal]:
    """Accuracy after all epochs, and CPU seconds of training over interleaved rounds of some steps."""
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(ROUNDS):
        for name in times:
            times[name].append(_train(name, EPOCHS, STEPS)["cpu_s"])
    ratio = statistics.median(p / o for o, p in zip(times["ours"], times["plain"], strict=True))
    whole = {name: _train(name, EPOCHS, -1) for name in times}
    gap = abs(whole["ours"]["accuracy"] - whole["plain"]["accuracy"])
    both = [f"{whole[name]['accuracy']:.4f}" for name in times]
    seconds = [f"{statistics.median(times[name]):.1f} s" for name in times]
    complete = [f"{whole[name]['cpu_s']:.0f} s" for name in times]
    return [
        Goal("test accuracy, difference", both[0], both[1], gap, 0.01, at_least=False),
        Goal(f"CPU seconds of {STEPS} steps, plain over ours (median of {ROUNDS})", seconds[0], seconds[1], ratio, 1.0),
        Goal(
            f"CPU seconds of {EPOCHS} epochs, plain over ours", *complete, whole["plain"]["cpu_s"] / whole["ours"]["cpu_s"], 1.0
        ),
    ]


def _train(name: str, epochs: int, steps: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        program = [str(Path(__file__).with_name("plain_trainer.py"))] if name == "plain" else ["-c", OURS]
        label = f"{name}, {epochs} epochs" if steps < 0 else f"{name}, {steps} steps"
        return answer([*program, str(epochs), str(steps), f"{out}/run"], label)
