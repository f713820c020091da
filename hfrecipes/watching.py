"""Watching: the rows of a file, or of a stream, answered by a model and judged by its monitor, window by window."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.alarms import WINDOWS
from hfrecipes.data import Data, asked_rows
from hfrecipes.drift_page import drift_page
from hfrecipes.errors import DataError
from hfrecipes.folder import write_json, write_text
from hfrecipes.plots import draw_drift

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.monitor import Drift, Finding, Monitor

FILE, PLOT, PAGE = "drift.json", "drift.png", "drift.html"


@dataclass(frozen=True)
class Watched:
    """What the windows of one source say, in their order. `left` rows at the end were too few to be judged."""

    windows: tuple[Drift, ...]
    rate: float
    left: int = 0

    @property
    def alarmed(self) -> int:
        return sum(window.drifted for window in self.windows)

    @property
    def allowed(self) -> int:
        """The windows with an alarm that chance may bring: more of them come at most as often as one window's false alarm."""
        count = len(self.windows)
        chance, allowed = (1 - self.rate) ** count, 0
        while 1 - chance > self.rate * (1 + 1e-9):
            allowed += 1
            chance += math.comb(count, allowed) * self.rate**allowed * (1 - self.rate) ** (count - allowed)
        return allowed

    @property
    def drifted(self) -> bool:
        """Whether more windows raised an alarm than chance may bring."""
        return self.alarmed > self.allowed

    def worst(self) -> list[tuple[Finding, int, list[int]]]:
        """Each detector where it was farthest, the farthest first: what it found, in which window, and the windows in which it
        was beyond its limit."""
        by: dict[str, list[tuple[Finding, int]]] = {}
        for window in self.windows:
            for finding in window.findings:
                by.setdefault(finding.detector, []).append((finding, window.window))
        found = [
            (*max(seen, key=lambda pair: pair[0].ratio), [number for finding, number in seen if finding.beyond])
            for seen in by.values()
        ]
        return sorted(found, key=lambda entry: (-len(entry[2]), -entry[0].ratio))

    def write(self, folder: Path, facts: Mapping[str, Any]) -> list[Path]:
        """Write `drift.json`, `drift.png` with the distances by window, and `drift.html`, which shows both."""
        verdict = {
            "drifted": self.drifted,
            "alarmed": self.alarmed,
            "allowed": self.allowed,
            "rate": self.rate,
            "left": self.left,
        }
        write_json(folder / FILE, {**facts, **verdict, "windows": [window.values() for window in self.windows]})
        lines = {
            finding.detector: [
                each.ratio for window in self.windows for each in window.findings if each.detector == finding.detector
            ]
            for finding, _, _ in self.worst()
        }
        drawn = draw_drift(lines, folder / PLOT)
        write_text(folder / PAGE, drift_page(self, facts, folder / PLOT if drawn else None))
        return [folder / name for name in (FILE, PLOT, PAGE) if drawn or name != PLOT]


def watch(predictor: Predictor, monitor: Monitor, data: Data, labelled: bool = False) -> Watched:
    """Answer the rows of `data`, and judge them; `labelled` reads their labels, too. A rest that is no full window is judged by
    itself where it has rows enough. Raises DataError where the source cannot be read, and UserError where all of its rows are too
    few for one window."""
    rows = asked_rows(data)
    names = {data.columns.get(role, role): role for role in predictor.task.columns}
    label = predictor.task.label_column if labelled else ""
    windows = list(judged(predictor, monitor, _chunks(rows, names, monitor.window, label)))
    return finished(monitor, windows)


def judged(predictor: Predictor, monitor: Monitor, chunks: Iterable[tuple[Sequence[Any], Sequence[Any]]]) -> Iterator[Drift]:
    """Every window that becomes full, of rows that come with their labels or without any."""
    for rows, labels in chunks:
        ids = range(monitor.rows, monitor.rows + len(rows))
        closed = monitor.observe(rows, predictor(list(rows)), ids)
        monitor.observe_labels(ids[: len(labels)], labels) if labels else None
        yield from [monitor.check()] if len(closed) == 1 else closed


def finished(monitor: Monitor, windows: Sequence[Drift]) -> Watched:
    """The windows with the rest, where that has rows enough or is all there is."""
    left = monitor.rows - sum(window.rows for window in windows)
    if left >= WINDOWS[0] or not windows:
        return Watched((*windows, monitor.close()), monitor.rate)
    return Watched(tuple(windows), monitor.rate, left)


def _chunks(rows: Dataset, names: Mapping[str, str], size: int, label: str) -> Iterator[tuple[list[Any], list[Any]]]:
    for role in [label] if label else []:
        column = next(name for name, each in names.items() if each == role)
        if column not in rows.column_names:
            raise DataError("data", f"there is no column '{column}'", f"It has: {', '.join(rows.column_names)}")
    for start in range(0, len(rows), size):
        taken = rows.select(range(start, min(len(rows), start + size))).to_list()
        named = [{names[name]: entry for name, entry in row.items() if name in names} for row in taken]
        yield named, [row[label] for row in named] if label else []
