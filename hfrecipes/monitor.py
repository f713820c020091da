"""Monitor: whether what a model is asked in production, and what it answers, is still like the held-out rows it was measured on.

Rows are judged in windows that follow one another and do not overlap, each once, so the false-alarm rate is that of a window.
The memory is that of one window and of the last answers, however many rows are seen.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.alarms import AGAIN, RATE, WINDOW, Alarms
from hfrecipes.checkpoint import open_reader
from hfrecipes.edge import explained
from hfrecipes.errors import DataError, UserError
from hfrecipes.hub import local_folder
from hfrecipes.signals import CONFIDENCE, Sample, join, read, see

if TYPE_CHECKING:
    from hfrecipes.tasks import Task
    from hfrecipes.tokens import Tokens

REMEMBERED = 10_000
"""Answers that labels may still come for."""
BLAMED = 5


@dataclass(frozen=True)
class Finding:
    """A detector in a window: its distance and its limit there, what moved most, since which window it has been beyond the limit
    without a break (None where it is not), and the ids of the rows that did most for it."""

    detector: str
    feature: str
    distance: float
    limit: float
    moved: str = ""
    since: int | None = None
    ids: tuple[str | int, ...] = ()

    @property
    def beyond(self) -> bool:
        return self.distance > self.limit * (1 + 1e-9)

    @property
    def ratio(self) -> float:
        return self.distance / self.limit if self.limit else float(self.distance > 0)


@dataclass(frozen=True)
class Drift:
    """What a window says; `window` is its number from 1 on, 0 before the first is full. `estimated` is the accuracy that the
    confidence of its answers lets expect: their mean (`confidence-based performance estimation`, as in Kivimäki et al. 2024,
    arXiv:2407.08649), and by the threshold of Garg et al. 2022 (ATC, arXiv:2201.04234) as `estimated_by_threshold`; `accuracy`
    that of the last labelled answers. `held_out` is the accuracy on held-out rows. None where it cannot be known."""

    window: int
    rows: int
    findings: tuple[Finding, ...] = ()
    estimated: float | None = None
    estimated_by_threshold: float | None = None
    accuracy: float | None = None
    held_out: float | None = None

    @property
    def beyond(self) -> tuple[Finding, ...]:
        """The detectors that are beyond their limits, the farthest first."""
        return tuple(sorted((each for each in self.findings if each.beyond), key=lambda each: -each.ratio))

    @property
    def drifted(self) -> bool:
        return bool(self.beyond)

    def values(self) -> dict[str, Any]:
        """As values of JSON."""
        return {**asdict(self), "drifted": self.drifted}


class Monitor:
    """Judges rows and answers by the baseline of a model: `Monitor.from_pretrained("runs/x")`, then `observe` and `check`."""

    def __init__(
        self,
        alarms: Alarms,
        task: Task,
        config: Mapping[str, Any],
        tokens: Tokens,
        window: int = WINDOW,
        rate: float = RATE,
    ) -> None:
        self.alarms, self.task, self.config, self.tokens = alarms, task, config, tokens
        self.window, self.rate = window, rate
        alarms.limit(window, rate)
        self.rows = 0
        self.windows: int = 0
        self.alarmed: int = 0
        self._open: list[tuple[Sample, list[str | int]]] = []
        self._since: dict[str, int] = {}
        self._last = Drift(0, 0, held_out=alarms.worth.get("accuracy"))
        self._answered: OrderedDict[str | int, Any] = OrderedDict()
        self._right: deque[bool] = deque(maxlen=max(window, WINDOW))

    @classmethod
    def from_pretrained(cls, where: str | Path, window: int = WINDOW, rate: float = RATE) -> Monitor:
        """The monitor of a run, a release, a bundle, a registry, or `owner/name` on the Hub, for windows of `window` rows and a
        chance of `rate` that a window in which nothing moved raises an alarm (0.1, 0.05 or 0.01).

        Raises ModelError where the baseline is missing, damaged or of other weights, and UserError for a window of too few rows.
        """
        folder = local_folder(where)
        model = folder / "model" if (folder / "recipe.yaml").is_file() else folder
        with explained(str(where), "its baseline cannot be read", AGAIN):
            alarms = Alarms.of(folder)
        return cls(alarms, *open_reader(model), window, rate)

    def observe(self, rows: Sequence[Any], answers: Sequence[Any], ids: Sequence[str | int] | None = None) -> list[Drift]:
        """Take in rows, as the predictor is given them, and the answers to them; gives what the windows say that became full.

        `ids` names the rows; without them they are numbered from 0 on. Raises DataError where the lengths differ.
        """
        named: list[str | int] = [*range(self.rows, self.rows + len(rows))] if ids is None else [*ids]
        if not len(rows) == len(answers) == len(named):
            raise DataError("observe", f"{len(rows)} rows, {len(answers)} answers and {len(named)} ids", "Give as many of each")
        meant = read(rows, self.task)
        said = [] if self.task.by_likelihood else list(answers)
        closed = []
        start = 0
        while start < len(meant):
            end = min(len(meant), start + self.window - self._waiting)
            sample = see(meant[start:end], said[start:end], self.task, self.config, self.tokens, self.alarms.known)
            self._open.append((self._complete(sample), named[start:end]))
            self._remember(named[start:end], said[start:end])
            self.rows += end - start
            start = end
            if self._waiting == self.window:
                closed.append(self.close())
        return closed

    def close(self) -> Drift:
        """Judge the rows that no full window holds yet as a window of their own. Raises UserError where they are too few."""
        count = self._waiting
        limits = self.alarms.limit(count, self.rate)
        sample, ids = join([each for each, _ in self._open]), [name for _, names in self._open for name in names]
        self._open = []
        self.windows += 1
        findings = tuple(self._judge(title, limits[title], sample, ids) for title in self.alarms.detectors)
        self.alarmed += any(each.beyond for each in findings)
        self._last = Drift(self.windows, count, findings, *self._estimates(sample), held_out=self.alarms.worth.get("accuracy"))
        return self.check()

    def check(self) -> Drift:
        """What the last full window says, with the accuracy on the labels that have come since."""
        accuracy = sum(self._right) / len(self._right) if self._right else None
        return Drift(**{**vars(self._last), "accuracy": accuracy})

    def distances(self) -> dict[str, float]:
        """The distance of each detector in the last full window, by names such as `ks(confidence)`; empty before the first."""
        return {each.detector: each.distance for each in self._last.findings}

    def limits(self) -> dict[str, float]:
        """The limit of each detector for a full window."""
        return self.alarms.limit(self.window, self.rate)

    def observe_labels(self, ids: Sequence[str | int], labels: Sequence[Any]) -> int:
        """Take in true labels that came later, and say for how many of them the answer is still known (the last 10,000 are).

        Raises DataError for a label that the model does not know, and UserError where answers are no labels.
        """
        if not self._labelled:
            raise UserError(
                "labels", f"the answers of this {self.task.name} are not one label each", "Measure it on a test split"
            )
        if len(ids) != len(labels):
            raise DataError("labels", f"{len(ids)} ids and {len(labels)} labels", "Give a label an id")
        known = {**self.config["label2id"]}
        meant = [self._label(label) for label in labels]
        for label in meant:
            if label not in known:
                names = sorted(known)
                some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
                raise DataError("labels", f"the model does not know the label '{label}'", f"Its {len(names)} are: {some}")
        found = 0
        for name, label in zip(ids, meant, strict=True):
            if name in self._answered:
                self._right.append(self._answered.pop(name) == label)
                found += 1
        return found

    @property
    def _labelled(self) -> bool:
        """Whether answers are labels, one each; of others nothing is kept that could be text."""
        return "label2id" in self.config and self.config.get("problem_type") == "single_label_classification"

    @property
    def _waiting(self) -> int:
        return sum(len(names) for _, names in self._open)

    def _label(self, label: Any) -> str:
        numbered = self.config.get("data_labels") or []
        return str(numbered[label]) if isinstance(label, int) and 0 <= label < len(numbered) else str(label)

    def _complete(self, sample: Sample) -> Sample:
        """The sample with a confidence where the baseline has one, though no answer of these claims anything."""
        wanted = any(detector.feature == CONFIDENCE for detector in self.alarms.detectors.values())
        if not wanted or CONFIDENCE in sample:
            return sample
        return Sample({**sample.numbers, CONFIDENCE: np.full(len(sample), np.nan)}, sample.names, sample.vectors)

    def _remember(self, ids: Sequence[str | int], answers: Sequence[Any]) -> None:
        for name, answer in zip(ids, answers, strict=True) if answers and self._labelled else ():
            self._answered[name] = self.task.prediction(answer, self.config)
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def _judge(self, title: str, limit: float, sample: Sample, ids: Sequence[str | int]) -> Finding:
        detector, baseline = self.alarms.detectors[title], self.alarms.summaries[title]
        found = Finding(title, detector.feature, detector.distance(baseline, sample), limit)
        if not found.beyond:
            self._since.pop(title, None)
            return found
        since = self._since.setdefault(title, self.windows)
        worst = np.argsort(-detector.blame(baseline, sample), kind="stable")[:BLAMED]
        return Finding(
            title, found.feature, found.distance, limit, detector.moved(baseline, sample), since, tuple(ids[i] for i in worst)
        )

    def _estimates(self, sample: Sample) -> tuple[float | None, float | None]:
        sure = sample.numbers.get(CONFIDENCE, np.array([]))
        sure = sure[~np.isnan(sure)]
        if not len(sure) or "threshold" not in self.alarms.worth:
            return None, None
        return float(sure.mean()), float((sure >= self.alarms.worth["threshold"]).mean())
