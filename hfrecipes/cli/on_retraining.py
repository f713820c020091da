"""The command on a model that is trained again."""

from __future__ import annotations

from typing import Annotated

import typer

from hfrecipes.cli.given import RunFolder, column_of
from hfrecipes.errors import UserError


def retrain(
    run: RunFolder,
    rows: Annotated[
        str | None,
        typer.Argument(metavar="ROWS", help="New rows, labelled ones among them: a file, a folder, a data set on the Hub."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY.KEY=VALUE]...", help="Changes to the run's recipe, such as retrain.adapt=head."),
    ] = None,
    column: Annotated[list[str] | None, typer.Option(metavar="ROLE=NAME", help="What a column of the file is called.")] = None,
    split: Annotated[str, typer.Option(help="The split of a data set with several.")] = "test",
    log: Annotated[bool, typer.Option("--log", help="Show every decision so far, and do nothing.")] = False,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Begin though another process holds the turn: it can promote nothing from then on."),
    ] = False,
) -> None:
    """Train the model in production again where new rows drifted, and promote what is better: exit code 1 where it is not."""
    from hfrecipes.folder import Run
    from hfrecipes.recipe import Recipe
    from hfrecipes.retraining import decisions
    from hfrecipes.retraining import retrain as again
    from hfrecipes.tables import print_decisions

    if (rows is None) != log:
        raise UserError("retrain", "one source of rows is wanted", "Write: retrain RUN new.jsonl, or: retrain RUN --log")
    if rows is None:
        return print_decisions(decisions(run))
    roles = Recipe.load(Run.open(run).recipe_file).task.columns
    named = dict(column_of(entry, roles) for entry in column or [])
    found = again(run, rows, overrides or (), named, split, take_over)
    where = f" {found.release or found.candidate}" if found.candidate else ""
    print(f"{found.event}{where}: {found.reason}")
    raise typer.Exit(1 if found.failed else 0)
