"""Speed: what answers cost by rows at once, tokens a row and device, for every graph of a run and for transformers' pipeline."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from hfrecipes.errors import UserError
from hfrecipes.folder import Run, opened, read_json, write_json, write_text
from hfrecipes.hardware import hardware
from hfrecipes.inference.predictor import Predictor
from hfrecipes.measurement import quantile
from hfrecipes.plots import draw_speed
from hfrecipes.report import markdown_table
from hfrecipes.tasks import Row

PIPED = ("text-classification", "token-classification", "text-generation")
"""Tasks whose rows transformers' pipeline takes as texts."""
BATCHES, LENGTHS = (1, 8, 32), (16, 64, 128)
SECONDS = 0.5
"""How long each side is timed on each shape, in turns with the others."""
ROWS = 64

Answer = Callable[[Sequence[Row]], Any]


@dataclass(frozen=True)
class Timing:
    """Milliseconds for one batch (50th, 95th and 99th percentile) of `batch` rows of `length` tokens, and rows a second."""

    side: str
    device: str
    batch: int
    length: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rows_per_s: float

    def texts(self) -> list[str]:
        """A row of a table."""
        times = [f"{ms:.2f}" for ms in (self.p50_ms, self.p95_ms, self.p99_ms)]
        return [self.side, self.device, str(self.batch), str(self.length), *times, f"{self.rows_per_s:.0f}"]


HEADER = ["side", "device", "rows", "tokens", "p50 ms", "p95 ms", "p99 ms", "rows/s"]


def bench(
    run: Run,
    devices: Sequence[str] = ("cpu",),
    batches: Sequence[int] = BATCHES,
    lengths: Sequence[int] = LENGTHS,
    threads: int = 1,
) -> list[Timing]:
    """Time every graph of a run, the PyTorch model, and transformers' pipeline where it takes the rows, on rows of the test split
    that are lengthened or cut to each of `lengths`. Writes `bench.json`, `bench.md` and `bench.png` into the run.

    Graphs run on each of `devices`, PyTorch on the CPU, all with `threads` threads. Raises UserError where the run has no bundle,
    and ModelError for a device that a graph was not made for.
    """
    sides = opened_sides(run, devices, threads)
    first = next(iter(sides.values()))[0]
    asked = [first.task.row(first.task.sample(row)) for row in read_json(run.answers / "rows.json")[:ROWS]]
    found = []
    shapes = list(itertools.product(batches, lengths))
    for batch, length in tqdm(shapes, desc="shapes", disable=None):
        rows = [lengthened(first, row, length) for row in asked]
        times = timed({key: answer for key, (_, answer) in sides.items()}, rows, batch)
        for (side, device), taken in times.items():
            p50, p95, p99 = (quantile(taken, share) for share in (0.5, 0.95, 0.99))
            found.append(Timing(side, device, batch, length, p50, p95, p99, 1000 * batch / p50))
    write_json(run.path / "bench.json", {"hardware": hardware(), "threads": threads, "timings": [vars(each) for each in found]})
    draw_speed(found, run.path / "bench.png")
    said = f"Seconds on the wall, from text to answer, {threads} thread(s), {hardware()['cpu']}."
    table = markdown_table(HEADER, [each.texts() for each in found])
    write_text(run.path / "bench.md", f"# Speed\n\n{said}\n\n{table}\n\n![bench.png](bench.png)\n")
    return found


def opened_sides(run: Run, devices: Sequence[str], threads: int) -> dict[tuple[str, str], tuple[Predictor, Answer]]:
    """What is timed, by name and device: a predictor of each side, and what answers."""
    sides: dict[tuple[str, str], tuple[Predictor, Answer]] = {}
    for target in read_json(run.bundles / "index.json")["targets"] if (run.bundles / "index.json").is_file() else []:
        manifest = opened(run.bundles / target)
        if "lacking" in manifest:
            continue
        for graph, device in itertools.product(manifest["graphs"], devices):
            name = f"{target}/{graph}"
            predictor = Predictor.open(run.path, name, threads=threads, devices=[device])
            sides[name, device] = predictor, predictor.together
    if not sides:
        raise UserError("bench", f"{run.path} has no bundle that runs on {', '.join(devices)}", "Run `hfrecipes ship` on it")
    import torch

    torch.set_num_threads(threads)
    eager = Predictor.open(run.path, "pytorch")
    sides["pytorch", "cpu"] = eager, eager.together
    if eager.task.name in PIPED:
        sides["transformers.pipeline", "cpu"] = eager, piped(run, eager)
    return sides


def piped(run: Run, eager: Predictor) -> Answer:
    """transformers' pipeline over the checkpoint, its batch size as many rows as it is given."""
    from transformers import pipeline

    task: Any = eager.task.name
    made: Any = pipeline(task, model=str(run.model), device="cpu")
    options = eager.task.writing() if eager.task.generates else {}

    def answer(rows: Sequence[Row]) -> Any:
        texts = [" ".join(entry) if isinstance(entry, list) else entry for row in rows for entry in [next(iter(row.values()))]]
        return made(texts, batch_size=len(texts), **options)

    return answer


def lengthened(predictor: Predictor, row: Row, length: int) -> Row:
    """A row whose longest column is repeated and cut to about `length` tokens."""
    column = max(row, key=lambda name: len(str(row[name])))
    entry = row[column]
    if isinstance(entry, list):
        return {**row, column: (entry * (1 + length // max(1, len(entry))))[:length]}
    words = max(1, len(str(entry).split()))
    return {**row, column: predictor.tokens.cut(" ".join([str(entry)] * (1 + length // words)), length)}


def timed(sides: Mapping[tuple[str, str], Answer], rows: Sequence[Row], batch: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of each side for batches of the rows, in turns, after one that does not count."""
    found: dict[tuple[str, str], list[float]] = {key: [] for key in sides}
    until = time.perf_counter() + SECONDS * len(sides)
    for turn in itertools.count():
        some = [rows[i % len(rows)] for i in range(turn * batch, (turn + 1) * batch)]
        for key, answer in sides.items():
            started = time.perf_counter()
            answer(some)
            found[key].append(1000 * (time.perf_counter() - started))
        if turn > 0 and time.perf_counter() > until:
            break
    return {key: taken[1:] for key, taken in found.items()}
