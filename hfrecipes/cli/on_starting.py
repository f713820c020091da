"""The command that writes a first recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hfrecipes.cli.given import column_of
from hfrecipes.errors import UserError


def init(
    data: Annotated[str | None, typer.Argument(help="A file, a folder, or a data set on the Hub.")] = None,
    task: Annotated[str | None, typer.Option(help="One of `hfrecipes list tasks`; else what the columns are for.")] = None,
    model: Annotated[str | None, typer.Option(help="A name on the Hub or a folder; else a small one for the task.")] = None,
    target: Annotated[str | None, typer.Option(help="One of `hfrecipes list targets`; else cpu.")] = None,
    column: Annotated[list[str] | None, typer.Option(metavar="ROLE=NAME", help="What a column of the data is called.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")] = Path("recipe.yaml"),
) -> None:
    """Look at data and write a first recipe for it; on a terminal, ask what was not given."""
    from hfrecipes.first_recipe import look, write
    from hfrecipes.part import names
    from hfrecipes.tasks import Task

    if out.exists():
        raise UserError("init", f"{out} is there already", "Write -o and another name")
    asking = sys.stdin.isatty()
    if data is None and not asking:
        raise UserError("init", "no data was named", "Write: hfrecipes init DATA")
    path = data or str(typer.prompt("Data (a file, a folder, or a name on the Hub)"))
    every = {role: column for name in names("tasks") for role, column in Task.find(name).columns.items()}
    columns = dict(column_of(entry, every) for entry in column or [])
    found = look(path, task, columns)
    if asking and task is None and (said := str(typer.prompt("Task", found.task))) != found.task:
        found = look(path, said, columns)
    if asking:
        model = model or str(typer.prompt("Model", found.model))
        target = target or str(typer.prompt(f"Where it will run ({', '.join(names('targets'))})", "cpu"))
    text = write(path, found, out, model, target or "cpu")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, "utf-8")
    print(text)
    print(f"{out} is written. Next: hfrecipes doctor {out}, then hfrecipes run {out}")
