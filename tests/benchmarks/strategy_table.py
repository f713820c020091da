"""The table of strategies in recipes/README.md: accuracy with few examples a class, what is trained, and what it costs.

    HFRECIPES_DATA=… python -m tests.benchmarks.strategy_table [FOLDER]

Every strategy trains MiniLM on the same rows for the same epochs, one thread each, at the one learning rate of full fine-tuning
times the factor that is usual for the strategy: nothing is tuned for any of them. FOLDER keeps what is done, so that a stopped
table goes on; the rows of the table are means over the seeds.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hfrecipes.part import names
from hfrecipes.report import markdown_table
from tests.benchmarks.processes import ONE_THREAD, answer
from tests.contracts import ON_GPU, REFUSED

PER_CLASS, EPOCHS, BATCH, RATE = 10, 10, 32, 3e-4
SEEDS = (0, 1)
SOLVED: dict[str, tuple[dict[str, Any], int]] = {
    "feature_extraction, solved": ({"feature_extraction": {"solver": "lbfgs"}}, 0),
    "head_then_full, solved": ({"head_then_full": {"solver": "lbfgs", "head_epochs": 0}}, EPOCHS),
}
"""Rows beside those of the strategies as they come: their options and epochs."""


def main(folder: Path) -> None:
    """Train what is not there yet, each training in a process of its own, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    sets = {"banking77": Path("examples/data/banking77")}
    if "HFRECIPES_DATA" in os.environ:
        sets["clinc150"] = Path(os.environ["HFRECIPES_DATA"]) / "intent_clinc150"
    else:
        print("HFRECIPES_DATA is not set: banking77 alone", file=sys.stderr)
    strategies = [name for name in names("strategies") if name not in ON_GPU and (name, "bert") not in REFUSED]
    rows = []
    for data, path in sets.items():
        for strategy in sorted([*strategies, *SOLVED]):
            found = [once(folder / f"{data}_{strategy}_{seed}.json", path, strategy, seed) for seed in SEEDS]
            accuracy = [entry["accuracy"] for entry in found]
            low, high = min(accuracy), max(accuracy)
            costs = [f"{found[0]['trainable']:,}", f"{statistics.mean(entry['cpu_s'] for entry in found):.1f}"]
            rows.append(
                [data, strategy, f"{found[0]['rate']:g}", f"{statistics.mean(accuracy):.3f} ({low:.3f} … {high:.3f})", *costs]
            )
        rows.append([data, "commonest label", "", f"{found[0]['baseline']:.3f}", "0", "0"])
    print(markdown_table(["data", "strategy", "learning rate", "accuracy", "trainable parameters", "CPU s"], rows))


def once(file: Path, data: Path, strategy: str, seed: int) -> dict[str, Any]:
    """What one training gave, from its file where there is one."""
    if not file.is_file():
        asked = json.dumps({"data": str(data), "strategy": strategy, "seed": seed})
        with tempfile.TemporaryDirectory() as cache:  # an empty feature store: nothing is found that another run has paid for
            program = ["-m", "tests.benchmarks.strategy_table", "--one", asked]
            file.write_text(json.dumps(answer(program, file.stem, **ONE_THREAD, HFRECIPES_FEATURES=cache)))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def one(data: str, strategy: str, seed: int) -> dict[str, Any]:
    """One training on `PER_CLASS` rows of each class that the seed draws, scored on all test rows."""
    import torch

    from hfrecipes import Predictor, Recipe, verbs
    from hfrecipes.measurement import score
    from hfrecipes.stages.train import train as train_stage
    from hfrecipes.stages.train import trainer_for
    from hfrecipes.strategies import Strategy

    torch.set_num_threads(1)
    asked, epochs = SOLVED.get(strategy, (strategy, EPOCHS))
    rate = RATE * Strategy.choose(asked).rate_factor
    with tempfile.TemporaryDirectory() as scratch:
        few(Path(data), Path(scratch) / "data", seed)
        train = {"learning_rate": rate, "num_train_epochs": epochs, "per_device_train_batch_size": BATCH, "warmup_steps": 0.1,
                 "eval_strategy": "no", "save_strategy": "no"}  # fmt: skip
        overrides = [f"data.path={scratch}/data", f"strategy={json.dumps(asked)}", f"seed={seed}", f"train={json.dumps(train)}",
                     "evaluate=[accuracy]"]  # fmt: skip
        recipe = Recipe.load("recipes/bert/banking77.yaml", overrides)
        run = verbs.begin(recipe, Path(scratch) / "run")
        model = trainer_for(dataclasses.replace(recipe, fast_path=()), run).model
        trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)  # type: ignore[union-attr]
        start = time.process_time()
        train_stage(recipe, run)
        spent = time.process_time() - start
        test = [json.loads(line) for line in (Path(scratch) / "data/test.jsonl").read_text("utf-8").splitlines()]
        predictor = Predictor.open(run.path, "pytorch")
        scores, _ = score(predictor, test, recipe.metrics(predictor.config))
    labels = [row["label"] for row in test]
    return {
        "accuracy": scores["accuracy"],
        "baseline": max(labels.count(label) for label in set(labels)) / len(labels),
        "trainable": trainable,
        "cpu_s": spent,
        "rate": rate,
    }


def few(source: Path, target: Path, seed: int) -> None:
    """Write `PER_CLASS` training rows of each class, two more of each for validation, and the test split."""
    import random

    target.mkdir()
    rows = [json.loads(line) for line in (source / "train.jsonl").read_text("utf-8").splitlines()]
    random.Random(seed).shuffle(rows)
    by_label: dict[str, list[Any]] = {}
    for row in rows:
        by_label.setdefault(row["label"], []).append(row)
    splits = {"train": slice(0, PER_CLASS), "validation": slice(PER_CLASS, PER_CLASS + 2)}
    for name, part in splits.items():
        chosen = [row for found in by_label.values() for row in found[part]]
        (target / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen), "utf-8")
    (target / "test.jsonl").write_bytes((source / "test.jsonl").read_bytes())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(**json.loads(sys.argv[2]))))
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/strategies"))
