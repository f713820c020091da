"""faults: everything that may happen to a training or a folder, many times each; and what a second process gives.

The tests of `tests/faults` with the counts of a benchmark (HFRECIPES_FAULTS=all) instead of those of a test run.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from hfrecipes.folder import read_json
from tests.benchmarks.goals import Goal

FAULTS = Path(__file__).parents[1] / "faults"
TOLD = re.compile(r"^\d+ of \d+ .*", re.MULTILINE)
ROUNDS, SPEEDUP = 3, 1.7
LEARN = """
import sys
from hfrecipes import Recipe, verbs
verbs.learn(Recipe.load(sys.argv[1], sys.argv[3:]), sys.argv[2])
"""


def measure() -> list[Goal]:
    """The whole table."""
    return [*(tried(file) for file in sorted(FAULTS.glob("test_*.py"))), second_process()]


def tried(file: Path) -> Goal:
    """The tests of a file that fail, or find nothing to try."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "HFRECIPES_FAULTS": "all"}
    )
    for line in TOLD.findall(done.stdout):
        print(line, flush=True)
    last = done.stdout.strip().splitlines()[-1]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", last)}
    bad = sum(counts.get(word, 0) for word in ("failed", "error", "skipped")) + (done.returncode != 0)
    print(f"{file.stem}: {last}" if bad == 0 else done.stdout, file=sys.stderr, flush=True)
    return Goal(f"{file.stem}: tests that fail", f"{counts.get('passed', 0)} pass", "", bad, 0, at_least=False)


def second_process() -> Goal:
    """How many times as fast two processes train as one, a thread each, with the same rows a step."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(ROUNDS):
            for count in seconds:
                seconds[count].append(trained(count, Path(scratch) / f"{number}-{count}"))
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    took = [f"{statistics.median(seconds[count]):.1f} s" for count in (2, 1)]
    return Goal("two processes on two cores, over one: training", *took, statistics.median(ratios), SPEEDUP)


def trained(count: int, out: Path) -> float:
    """The seconds of a training in `count` processes, 128 rows a step: at 32 sending gradients takes what computing gains."""
    program = out.with_suffix(".py")
    program.write_text(LEARN, "utf-8")
    changes = [
        "data.per_class=30", "train.num_train_epochs=1", "train.eval_strategy=no", "train.save_strategy=no",
        f"train.gradient_accumulation_steps={4 // count}",
    ]  # fmt: skip
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*start, str(program), "recipes/bert/banking77.yaml", str(out), *changes]
    subprocess.run(command, stdout=sys.stderr, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    [took] = [entry["train_runtime"] for entry in read_json(out / "model/history.json") if "train_runtime" in entry]
    return float(took)
