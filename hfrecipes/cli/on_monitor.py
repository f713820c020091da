"""The command on a model in production: whether what it is asked, and what it answers, is still like what it was measured on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfrecipes.cli.given import column_of, row_of
from hfrecipes.errors import UserError

if TYPE_CHECKING:
    from hfrecipes.monitor import Drift
    from hfrecipes.watching import Watched


def watch(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, a release, a registry, or owner/name on the Hub.")],
    rows: Annotated[
        str | None, typer.Argument(metavar="ROWS", help="A file, a folder or a data set on the Hub; not with --follow.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=NAME", help="What a column of the file is called; one of labels is read where it is named."),
    ] = None,
    split: Annotated[str, typer.Option(help="The split of a data set with several.")] = "test",
    window: Annotated[int, typer.Option(help="Rows that are judged together.")] = 200,
    rate: Annotated[float, typer.Option(help="How often a window may raise an alarm by chance: 0.1, 0.05 or 0.01.")] = 0.01,
    graph: Annotated[str | None, typer.Option(help="A graph of the bundle, such as fp32, or pytorch.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The folder for drift.json, .png and .html; RUN itself.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Judge the lines of standard input as they come.")] = False,
) -> None:
    """Answer rows and say whether they drifted: exit code 1 where more windows raised an alarm than chance may bring, else 0."""
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.monitor import Monitor
    from hfrecipes.watching import finished, judged
    from hfrecipes.watching import watch as watched

    if (rows is None) != follow:
        raise UserError(
            "watch", "one source of rows is wanted", "Write: watch RUN rows.jsonl, or: … | hfrecipes watch RUN --follow"
        )
    folder = out or Path(run)
    if out is None and not (folder / "recipe.yaml").is_file():
        raise UserError("--out", f"{run} is no run folder that drift.json could be written to", "Write -o FOLDER")
    monitor, predictor = Monitor.from_pretrained(run, window, rate), Predictor.open(run, graph)
    if follow:
        windows = []
        for drift in judged(predictor, monitor, (([row], []) for row in _lines())):
            print(_sentence(drift), flush=True)
            windows.append(drift)
        found = finished(monitor, windows)
    else:
        from hfrecipes.data import Data

        named = dict(column_of(entry, predictor.task.columns) for entry in column or [])
        data = Data(str(rows), test=split, columns=named)
        found = watched(predictor, monitor, data, predictor.task.label_column in named)
    _print(found)
    folder.mkdir(parents=True, exist_ok=True)
    for file in found.write(folder, {"model": run, "data": rows or "standard input", "window": window}):
        print(file)
    raise typer.Exit(1 if found.drifted else 0)


def _lines() -> Iterator[Any]:
    for line in sys.stdin:
        if text := line.rstrip("\n"):
            yield row_of(text, "watch")


def _sentence(drift: Drift) -> str:
    beyond = ", ".join(f"{each.detector} {each.distance:.3g} (limit {each.limit:.3g})" for each in drift.beyond)
    return f"window {drift.window}, {drift.rows} rows: {beyond or 'as before'}"


def _print(found: Watched) -> None:
    """The table of the detectors, the verdict, and what accuracy there is."""
    from hfrecipes.tables import print_watched

    print_watched(found)
    last = found.windows[-1]
    if last.estimated is None or last.estimated_by_threshold is None or last.held_out is None:
        return
    said = f"{last.estimated:.3f} by the mean confidence, {last.estimated_by_threshold:.3f} by its threshold"
    labelled = "" if last.accuracy is None else f", {last.accuracy:.3f} by the labels"
    print(f"accuracy: {last.held_out:.3f} on held-out rows; in window {last.window} {said}{labelled}")
