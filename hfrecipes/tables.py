"""Tables on the terminal: a report, a comparison of tokenizers, the optimizers there are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hfrecipes import distributed
from hfrecipes.part import names

if TYPE_CHECKING:
    from hfrecipes.frontier import Frontier
    from hfrecipes.report import Report
    from hfrecipes.speed import Timing
    from hfrecipes.tokenization import Cut
    from hfrecipes.watching import Watched

WIDTH = 120
"""Columns where the output is no terminal."""


def print_report(found: Report) -> None:
    """The candidates of a report, the verdicts of its checks, and where to read on; by the main process alone."""
    if not distributed.is_main():
        return
    header, rows = found.rows()
    table = Table(title=f"measured on {found.values['test_rows']} rows of the {found.values['split']} split")
    for name in header:
        table.add_column(name, justify="left" if name == "candidate" else "right")
    for row in rows:
        table.add_row(*row)
    console = _console()
    console.print(table)
    for verdict in found.values.get("checks", []):
        said = "passed" if verdict["passed"] else "waived" if verdict["waived"] else "FAILED"
        console.print(f"{said}  {verdict['check']}: {verdict['reason']}", highlight=False)
    console.print(f"{found.path.with_name('report.md')}", highlight=False)


def print_watched(found: Watched) -> None:
    """The detectors of a monitor where they were farthest from the held-out rows, and the verdict on all windows."""
    table = Table(title=f"{len(found.windows)} windows of {found.windows[0].rows} rows")
    for name in ("detector", "distance", "limit", "in window", "beyond in", "what moved"):
        table.add_column(name, justify="left" if name in ("detector", "what moved") else "right", overflow="fold")
    for finding, window, beyond in found.worst():
        table.add_row(
            Text(finding.detector),
            f"{finding.distance:.4f}",
            f"{finding.limit:.4f}",
            str(window),
            f"{len(beyond)} since {beyond[0]}" if beyond else "-",
            Text(finding.moved),
        )
    console = _console()
    console.print(table)
    verdict = "drift" if found.drifted else "no drift"
    rest = f"; the last {found.left} rows are too few to be judged" if found.left else ""
    console.print(
        f"{verdict}: {found.alarmed} of {len(found.windows)} windows raised an alarm, chance may bring {found.allowed}{rest}",
        highlight=False,
    )


def print_decisions(records: Sequence[Mapping[str, Any]]) -> None:
    """Every decision about retraining, the oldest first."""
    table = Table(title=f"{len(records)} decisions")
    for name in ("time", "token", "what", "champion", "candidate", "new rows", "sha256", "why"):
        table.add_column(name, justify="right" if name in ("token", "new rows") else "left", overflow="fold")
    for record in records:
        new, champion = record.get("new", {}), record.get("champion", {})
        candidate = record.get("release") or record.get("candidate", "")
        named = (champion.get("release") or record.get("old", {}).get("run", ""), candidate)
        digest = str(new.get("sha256", ""))[:8]
        why = record.get("reason") or "; ".join(record.get("drift", {}).get("moved", ()))
        shown = (record["time"], record["token"], record["event"], *named, new.get("labelled", ""), digest, why)
        table.add_row(*(Text(str(entry)) for entry in shown))
    _console().print(table)


def print_frontier(found: Frontier) -> None:
    """The candidates of a frontier, which was picked, and where to read on."""
    header, rows = found.table()
    table = Table(title=f"measured on {found.rows} held-out rows")
    for name in header:
        table.add_column(name, justify="left" if name in ("candidate", "graph", "run") else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = _console()
    console.print(table)
    console.print(f"{found.reason}\n{found.path / 'frontier.md'}", highlight=False)


def print_timings(timings: Sequence[Timing]) -> None:
    """Times by side, device and shape."""
    from hfrecipes.speed import HEADER

    table = Table(title="from text to answer, seconds on the wall")
    for name in HEADER:
        table.add_column(name, justify="left" if name in HEADER[:2] else "right")
    for timing in timings:
        table.add_row(*timing.texts())
    _console().print(table)


def print_cuts(cuts: Sequence[Cut]) -> None:
    """How several tokenizers cut the same texts."""
    table = Table(title="trained and measured on the same texts", show_lines=True)
    for name in ("tokenizer", "vocabulary", "tokens/word", "unknown", "bytes/token"):
        table.add_column(name, justify="left" if name == "tokenizer" else "right", no_wrap=True)
    table.add_column("cut", overflow="fold", ratio=1)
    for cut in cuts:
        figures = (f"{cut.vocabulary:,}", f"{cut.fertility:.2f}", f"{cut.unknown:.1%}", f"{cut.bytes_per_token:.2f}")
        table.add_row(cut.name, *figures, Text(" ".join(cut.pieces)))
    _console().print(table)


def print_optimizers() -> None:
    """What each optimizer does, when to take it, and the learning rates that are usual for it in full fine-tuning."""
    from hfrecipes.optimizers import Optimizer

    table = Table(title="learning rates of full fine-tuning; strategies multiply them", show_lines=True)
    for column in ("optimizer", "mechanism", "best for", "usual rates", "source"):
        table.add_column(column, no_wrap=column in ("optimizer", "usual rates"), overflow="fold")
    for name in names("optimizers"):
        part = Optimizer.find(name)
        table.add_row(name, part.mechanism, part.best_for, "{:g} … {:g}".format(*part.usual), part.source)
    _console().print(table)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH)
