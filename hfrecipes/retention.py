"""Retention: what a student keeps of its teacher, and what the teacher was good for, measured on the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.bootstrap import Interval, drawn, interval
from hfrecipes.errors import RunError
from hfrecipes.folder import Run, read_json, write_json
from hfrecipes.measurement import WRITTEN
from hfrecipes.report import Report

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric

ROUNDS, TIMED, BATCH = 5, 256, 32


@dataclass(frozen=True)
class Side:
    """One model: its score, the parameters of its checkpoint, the MB (10^6 bytes) of the candidate, milliseconds for one text
    (median), milliseconds a text in batches of 32, and the seconds that its training took."""

    run: str
    score: float
    parameters: int
    mb: float
    p50_ms: float
    batched_ms: float
    training_s: float


@dataclass(frozen=True)
class Retention:
    """Scores by `figure` over the same `rows`, in the order of the runs: teacher, student, and a student without a teacher where
    there is one. `kept` is the student's share of the teacher's score (of a figure of which less is better, the teacher's share
    of the student's) and `gain` by how much it is better than the other student; the intervals hold 95 of 100 values over rows
    drawn again, the same ones for all models (paired bootstrap, Koehn 2004)."""

    figure: str
    candidate: str
    rows: int
    sides: list[Side]
    kept: float
    kept_interval: Interval
    gain: float | None
    gain_interval: Interval | None

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows, as texts."""
        header = ["model", "run", self.figure, "parameters", "MB", "p50 ms", "ms a text in batches", "minutes of training"]
        names = ["teacher", "student", "student without a teacher"]
        rows = [
            [name, s.run, f"{s.score:.4f}", f"{s.parameters:,}", f"{s.mb:.1f}", f"{s.p50_ms:.2f}", f"{s.batched_ms:.3f}",
             f"{s.training_s / 60:.1f}"]
            for name, s in zip(names, self.sides, strict=False)
        ]  # fmt: skip
        return header, rows

    def sentences(self) -> list[str]:
        """What was measured, in words."""
        teacher, student = self.sides[:2]
        low, high = self.kept_interval
        found = [
            f"The student keeps {self.kept:.1%} of the teacher's {self.figure} on {self.rows:,} rows (95 % interval {low:.1%} … "
            f"{high:.1%}), with {student.parameters / teacher.parameters:.0%} of its parameters, "
            f"{student.p50_ms / teacher.p50_ms:.0%} of its time for one text and "
            f"{student.batched_ms / teacher.batched_ms:.0%} of it in batches."
        ]
        if self.gain is not None and self.gain_interval is not None:
            low, high = self.gain_interval
            clear = "which excludes zero" if low > 0 or high < 0 else "which holds zero"
            found.append(
                f"Over the same student without a teacher it gains {self.gain:+.4f} "
                f"(95 % interval {low:+.4f} … {high:+.4f}, {clear})."
            )
        return found


def compare(teacher: str | Path, student: str | Path, alone: str | Path | None = None, candidate: str = "pytorch") -> Retention:
    """Compare finished runs, by the first metric of the student's recipe, and write `retention.json` into the student's run.

    Scores are those of the runs' own answers; speed is measured here, one model after the other in each round. Raises RunError
    where a run has no answers of that candidate, or gave them for other rows.
    """
    from hfrecipes.inference.predictor import Predictor

    runs = [Run.open(run) for run in (teacher, student, alone) if run is not None]
    noted = [answered(run, candidate) for run in runs]
    rows = read_json(runs[1].answers / "rows.json")
    for run in runs:
        if read_json(run.answers / "rows.json") != rows:
            raise RunError(str(run.path), f"was measured on other rows than {runs[1].path}", "Run both on the same test split")
    opened = [Predictor.open(run.path, candidate) for run in runs]
    task, config = opened[1].task, opened[1].config
    metric = deciding(runs[1], config)
    references = [task.reference(row, config) for row in rows]
    said = [entry["predictions"]["served"] for entry in noted]
    scores, again = drawn(metric, said, references)
    speeds = _speeds(opened, rows)
    kept, gain = directions(metric)
    sides = [
        Side(run.path.name, score, _parameters(run), entry["facts"]["mb"], *speed, _training_seconds(run))
        for run, score, entry, speed in zip(runs, scores, noted, speeds, strict=True)
    ]
    found = Retention(
        metric.figure,
        candidate,
        len(rows),
        sides,
        kept(scores),
        interval(list(map(kept, again))),
        gain(scores) if alone else None,
        interval(list(map(gain, again))) if alone else None,
    )
    write_json(runs[1].path / "retention.json", asdict(found))
    return found


def answered(run: Run, candidate: str) -> dict[str, Any]:
    """What a run noted of a candidate."""
    name = f"{candidate.replace('/', '-')}.json"
    for file in (run.answers / name, run.path / "measured" / name):
        if file.is_file():
            noted: dict[str, Any] = read_json(file)
            return noted
    raise RunError(str(run.path), f"has no answers of {candidate}", "Finish it with `hfrecipes run`")


def deciding(run: Run, config: Any) -> Metric:
    """The metric that decides. Raises RunError where it reads more than the answers that a run keeps."""
    from hfrecipes.recipe import Recipe

    metric = Recipe.load(run.recipe_file).metrics(config)[0]
    if metric.wants != "label":
        raise RunError(str(run.path), f"{metric.figure} reads more than answers", "Name another metric first in `evaluate:`")
    return metric


def directions(metric: Metric) -> tuple[Callable[[Sequence[float]], float], Callable[[Sequence[float]], float]]:
    """What of scores (teacher, student, alone) is the share that is kept, and what the gain; more is better of both."""
    if metric.lower_is_better:
        return lambda scores: scores[0] / scores[1], lambda scores: scores[2] - scores[1]
    return lambda scores: scores[1] / scores[0], lambda scores: scores[1] - scores[2]


def _speeds(opened: Sequence[Any], rows: Sequence[Any]) -> list[tuple[float, float]]:
    """For each model the median milliseconds for one text, and those a text in batches of 32; the models take turns."""
    from statistics import median

    task = opened[0].task
    most = WRITTEN if task.generates else TIMED
    step = -(-len(rows) // most)
    asked = sorted((task.row(task.sample(row)) for row in rows[::step]), key=lambda row: len(str(row)))
    batches = [asked[i : i + BATCH] for i in range(0, len(asked), BATCH)]
    alone: list[list[float]] = [[] for _ in opened]
    together: list[list[float]] = [[] for _ in opened]
    for _ in range(ROUNDS):
        for number, predictor in enumerate(opened):
            alone[number] += [_ms(predictor, [row]) for row in asked]
            together[number].append(sum(_ms(predictor, batch) for batch in batches) / len(asked))
    return [(median(single), median(batched)) for single, batched in zip(alone, together, strict=True)]


def _ms(predictor: Any, rows: Sequence[Any]) -> float:
    started = time.perf_counter()
    predictor.together(rows)
    return 1000 * (time.perf_counter() - started)


def _parameters(run: Run) -> int:
    """The numbers in a checkpoint's weights."""
    from math import prod

    from safetensors import safe_open

    count = 0
    for file in run.model.glob("*.safetensors"):
        with safe_open(file, framework="numpy") as weights:
            count += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return count


def _training_seconds(run: Run) -> float:
    return float(Report.load(run.path).values["seconds"]["train"])
