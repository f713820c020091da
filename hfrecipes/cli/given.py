"""What commands are given on the command line: recipes with changes, run folders; and how a verb ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfrecipes.errors import UserError

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="A recipe.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.KEY=VALUE]...", help="Changes to the recipe, in YAML.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="The run folder; runs/NAME of the recipe where it is not given.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for another process that is at work in the run folder.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def load(path: Path, overrides: Sequence[str] | None) -> Recipe:
    """The recipe in a file, with the changes."""
    from hfrecipes.recipe import Recipe

    return Recipe.load(path, overrides or ())


def finish(work: Any, folder: Path, wait: bool) -> None:
    """Do the work of a verb, and print its table also when a check refuses."""
    from hfrecipes.errors import CheckFailed
    from hfrecipes.locking import alone
    from hfrecipes.report import Report
    from hfrecipes.tables import print_report

    try:
        with alone(folder, wait):
            found = work()
    except CheckFailed:
        print_report(Report.load(folder))
        raise
    print_report(found)


def row_of(text: str, verb: str) -> Any:
    """A text, or the columns in a JSON object: `{"question": "…", "context": "…"}`."""
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(verb, f"is not JSON: {error}", "Write a text, or an object with the task's columns") from None


def column_of(entry: str, roles: Mapping[str, Any]) -> tuple[str, str]:
    """The role and the name of a column in `ROLE=NAME`."""
    role, equals, name = entry.partition("=")
    if not equals or role not in roles:
        raise UserError("--column", f"'{entry}' names no column of the task", f"Write ROLE=NAME with one of: {', '.join(roles)}")
    return role, name
