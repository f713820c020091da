"""Report: what a run claims, each figure measured on its own artefacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfrecipes.errors import RunError
from hfrecipes.folder import read_json


@dataclass(frozen=True)
class Candidate:
    """One measured model: `pytorch`, or a graph of a bundle such as `cpu/int8`. `mb` is 10^6 bytes of weights on disk,
    latencies are for one text, throughput for padded batches of 32."""

    name: str
    scores: dict[str, float]
    mb: float
    p50_ms: float
    p95_ms: float
    sentences_per_s: float


@dataclass(frozen=True)
class Report:
    """`report.json` as a value. `frontier` is every candidate, measured."""

    path: Path
    values: dict[str, Any]

    @classmethod
    def load(cls, run: str | Path) -> Report:
        """The report of a run folder."""
        file = Path(run) / "report.json"
        if not file.is_file():
            raise RunError(str(run), "has no report.json", "Run `hfrecipes fit` or `hfrecipes ship` first")
        return cls(file, read_json(file))

    @property
    def frontier(self) -> list[Candidate]:
        fields = Candidate.__dataclass_fields__
        return [Candidate(**{key: entry[key] for key in fields}) for entry in self.values["candidates"]]

    @property
    def scores(self) -> dict[str, float]:
        """The figures of the candidate that is served, or of the PyTorch model where none was measured."""
        return self.of(self.values.get("served", "pytorch")) or self.of("pytorch")

    def of(self, name: str) -> dict[str, float]:
        """The figures of a candidate; none where it was not measured."""
        return next((candidate.scores for candidate in self.frontier if candidate.name == name), {})

    @property
    def passed(self) -> bool:
        """Whether every check passed or was waived. False where none was judged."""
        checks = self.values.get("checks", [])
        return bool(checks) and all(verdict["passed"] or verdict["waived"] for verdict in checks)

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """The table of candidates as texts, with the figures that count: its header and its rows."""
        names = self.values["figures"]
        header = ["candidate", *names, "MB", "p50 ms", "p95 ms", "sentences/s"]
        rows = [
            [
                c.name,
                *(f"{c.scores[n]:.4f}" for n in names),
                f"{c.mb:.1f}",
                f"{c.p50_ms:.2f}",
                f"{c.p95_ms:.2f}",
                f"{c.sentences_per_s:.0f}",
            ]
            for c in self.frontier
        ]
        return header, rows


def comparison(found: Sequence[Report]) -> tuple[list[str], list[list[str]]]:
    """A row a run, as texts: what it is, its deciding figure (with no model, before training, after it, as served), its cost."""
    header = ["run", "data", "model", "figure", "baseline", "before", "after", "served", "MB", "p50 ms", "minutes of training"]
    rows = []
    for report in found:
        recipe, last = report.values["recipe"], report.frontier[-1]
        figure = report.values["figures"][0]
        first = [report.values.get(name, {}).get(figure) for name in ("baseline", "before")]
        start = recipe["model"].get("path") or f"new {recipe['model']['new']}"
        source = recipe["data"]["path"]
        data = source.partition("/")[2] if source.startswith("$") else Path(source).name
        places = [report.path.parent.name, data, start.removeprefix("package:")]
        reached = [f"{candidate.scores[figure]:.4f}" for candidate in (report.frontier[0], last)]
        costs = [f"{last.mb:.1f}", f"{last.p50_ms:.2f}", f"{report.values['seconds']['train'] / 60:.1f}"]
        rows.append([*places, figure, *("-" if entry is None else f"{entry:.4f}" for entry in first), *reached, *costs])
    return header, rows


def compression(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table of what each step of a compression made of the model, as texts."""
    header = ["step", "parameters", "in blocks", "zeros in blocks", "MB", "MB zipped", "ms of a batch", "trained, then"]
    rows = []
    for step in _beside(found):
        share = step["zeros"] / max(1, step["in_blocks"])
        counts = [f"{step['parameters']:,}", f"{step['in_blocks']:,}", f"{share:.1%}"]
        rows.append([step["name"], *counts, *(f"{step[key]:.1f}" for key in ("mb", "zipped_mb", "ms", "trained_ms"))])
    return header, rows


def _beside(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The steps of a compression, each with the time of the trained model; once that was taken before the first step alone."""
    return [{"trained_ms": found["steps"][0]["ms"], **step} for step in found["steps"]]


def verdict_in_words(verdict: Mapping[str, Any]) -> str:
    """`passed`, `failed`, or why it was waived."""
    if verdict["passed"]:
        return "passed"
    return f"waived: {verdict['waived']}" if verdict["waived"] else "**failed**"


def choices(table: Sequence[Mapping[str, Any]], figure: str) -> tuple[list[str], list[list[str]]]:
    """The table of the graphs that one was chosen from, as texts."""
    header = ["graph", figure, "equal answers", "MB", "ms alone", "ms in a list", "refused by"]
    rows = [
        [
            entry["name"],
            f"{entry['scores'][figure]:.4f}",
            f"{entry['agreement']['served']:.1%}",
            *(f"{entry[key]:.{digits}f}" for key, digits in (("mb", 1), ("p50_ms", 3), ("list_ms", 3))),
            "; ".join(entry["failed"]) or "-",
        ]
        for entry in table
    ]
    return header, rows


def sentences(found: Mapping[str, Any]) -> list[str]:
    """What zeros gave, where a compression made many: how much the file shrinks, and whether anything got faster."""
    if not found["zeros"]:
        return []
    first, *_, last = _beside(found)
    ratio = last["trained_ms"] / last["ms"]
    same = first["parameters"] == last["parameters"]
    speed = f"A batch takes 1/{ratio:.2f} of the time" if ratio > 1.1 else "The zeros give no speed here"
    zipped = f"zipped, the weights are 1/{first['zipped_mb'] / last['zipped_mb']:.2f} of what they were"
    rows = [[name, f"{share:.1%}"] for name, share in found["zeros"].items()]
    told = f"{speed} ({last['trained_ms']:.1f} ms before, {last['ms']:.1f} ms now); {zipped}."
    return [told if same else f"{told} Weights were removed, too.", markdown_table(["matrix", "zeros"], rows)]


def few_shot(found: Mapping[str, Any]) -> list[str]:
    """A section on episodes of classes that no training saw."""
    rows = [[each["method"], f"{each['mean']:.4f} ± {each['half']:.4f}"] for each in found["results"]]
    asked = f"{found['ways']}-way {found['shots']}-shot with {found['queries']} queries of a class"
    words = (
        f"{asked}, of {len(found['classes'])} classes that nothing was learned from or chosen by: "
        f"the mean accuracy of {found['results'][0]['episodes']} episodes and its 95 % interval."
    )
    return ["## Few-shot episodes", words, markdown_table(["method", "accuracy"], rows)]


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])
