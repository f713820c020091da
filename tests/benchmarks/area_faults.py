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
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(file)]
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
    """How many times as many rows a second two processes train on as one, a thread each, with the recipe as it is: each process
    takes 128 rows a step, so the step of two has 256. Prints the same for steps of 128 rows together, where the gradients, which
    are as many, are sent twice as often."""
    sides = {"one": (1, 4), "two": (2, 4), "two, the rows of one": (2, 2)}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(ROUNDS):
            for place, (side, asked) in enumerate(sides.items()):
                seconds[side].append(trained(*asked, Path(scratch) / f"{number}-{place}"))
    times = {side: statistics.median(a / b for a, b in zip(seconds["one"], seconds[side], strict=True)) for side in sides}
    print(f"two processes over one, as many rows a step: {times['two, the rows of one']:.2f} times as fast")
    took = [f"{statistics.median(seconds[side]):.1f} s" for side in ("two", "one")]
    return Goal("two processes on two cores, over one: rows a second in training", *took, times["two"], SPEEDUP)


def trained(count: int, accumulated: int, out: Path) -> float:
    """The seconds of a training in `count` processes, each of which takes `accumulated` batches of 32 rows a step."""
    program = out.with_suffix(".py")
    program.write_text(LEARN, "utf-8")
    changes = [
        "data.max_samples=4608", "train.num_train_epochs=1", "train.eval_strategy=no", "train.save_strategy=no",
        f"train.gradient_accumulation_steps={accumulated}",
    ]  # fmt: skip
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*start, str(program), "recipes/bert/banking77.yaml", str(out), *changes]
    subprocess.run(command, stdout=sys.stderr, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    [took] = [entry["train_runtime"] for entry in read_json(out / "model/history.json") if "train_runtime" in entry]
    return float(took)
