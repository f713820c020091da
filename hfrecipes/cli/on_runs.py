"""Commands on runs: ship one, ask its model, compare several."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hfrecipes.cli.given import RunFolder, finish
from hfrecipes.errors import UserError


def ship(run: RunFolder) -> None:
    """Export, measure and check a run that was fitted."""
    from hfrecipes import verbs
    from hfrecipes.folder import Run

    finish(lambda: verbs.ship(Run.open(run)), run)


def predict(
    run: RunFolder,
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts, or JSON objects with the task's columns; lines of standard input where there are none."),
    ] = None,
    graph: Annotated[str | None, typer.Option(help="A graph of the bundle, such as fp32, or pytorch.")] = None,
    cache: Annotated[Path | None, typer.Option(help="A file that keeps the answers for the next time.")] = None,
) -> None:
    """Answer texts from the bundle of a run."""
    from hfrecipes.inference.cache import Cache
    from hfrecipes.inference.predictor import Predictor

    predictor = Predictor.open(run, graph, cache=None if cache is None else Cache(file=cache))
    given = iter(texts) if texts else (line.rstrip("\n") for line in sys.stdin)
    for answer in predictor(_row(text) for text in given):
        print(answer)


def table(runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")]) -> None:
    """A Markdown table of runs: before and after training, as served, size and speed."""
    from hfrecipes.report import Report, comparison, markdown_table

    print(markdown_table(*comparison([Report.load(folder) for folder in runs])))


def retention(
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="The teacher's run folder.")],
    student: Annotated[
        Path, typer.Argument(metavar="STUDENT", help="The student's run folder; retention.json is written there.")
    ],
    alone: Annotated[Path | None, typer.Option(metavar="RUN", help="The same student trained without a teacher.")] = None,
    candidate: Annotated[str, typer.Option(help="Which model: pytorch, or a graph such as cpu/int8.")] = "pytorch",
) -> None:
    """What a student keeps of its teacher: scores with paired intervals, parameters, MB and speed."""
    from hfrecipes.report import markdown_table
    from hfrecipes.retention import compare

    found = compare(teacher, student, alone, candidate)
    print("\n\n".join([markdown_table(*found.table()), *found.sentences()]))


def _row(text: str) -> Any:
    """A text, or the columns in a JSON object: `{"question": "…", "context": "…"}`."""
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError("predict", f"is not JSON: {error}", "Write a text, or an object with the task's columns") from None
