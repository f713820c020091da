"""Commands on what there is: parts, the schema, tokenizers of a text, the feature store, this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hfrecipes import installed
from hfrecipes.cli.given import Overrides, load
from hfrecipes.errors import UserError
from hfrecipes.part import names, summary

KINDS = (
    "recipes",
    "tasks",
    "heads",
    "strategies",
    "optimizers",
    "schedules",
    "objectives",
    "losses",
    "compressors",
    "metrics",
    "targets",
    "checks",
    "detectors",
    "engines",
    "tokenizers",
    "vectors",
)


def list_parts(kind: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(KINDS)}.")] = None) -> None:
    """What there is to choose from."""
    if kind is not None and kind not in KINDS:
        raise UserError("list", f"unknown kind '{kind}'", f"One of: {', '.join(KINDS)}")
    if kind == "optimizers":
        from hfrecipes.tables import print_optimizers

        return print_optimizers()
    for each in [kind] if kind else KINDS:
        print(each)
        for name in names(each):
            try:
                said = summary(each, name)
            except LookupError as error:
                said = str(error.args[0])
            print(f"  {name:<22} {said}")
    for line in installed.missing():
        print(line)


def schema() -> None:
    """A JSON Schema of recipes, for the completion of an editor."""
    from hfrecipes.config import schema as made
    from hfrecipes.recipe import Recipe

    print(json.dumps(made(Recipe), indent=2))


def tokens(
    source: Annotated[Path, typer.Argument(metavar="RECIPE.yaml|DATA", help="A recipe, or a file or folder of texts.")],
    text: Annotated[list[str] | None, typer.Argument(help="The text to show cut; else the beginning of the first row.")] = None,
    column: Annotated[str | None, typer.Option(help="The column of the texts in a file; `text` where it is not given.")] = None,
    vocab_size: Annotated[int, typer.Option(min=1, help="The vocabulary that each tokenizer may have.")] = 2_000,
    plot: Annotated[Path | None, typer.Option("-o", "--out", help="A PNG file to draw the figures in.")] = None,
) -> None:
    """Train every kind of tokenizer on the texts, and compare how they cut them."""
    from hfrecipes.columns import Column
    from hfrecipes.data import Data
    from hfrecipes.tables import print_cuts
    from hfrecipes.tokenization import Texts, columns_of_texts, compare
    from hfrecipes.tokenizers import Tokenization

    if plot is not None and plot.suffix != ".png":
        raise UserError("--out", f"{plot} is not the name of a PNG file", "Write a name that ends in .png")
    if source.suffix in (".yaml", ".yml"):
        if column is not None:
            raise UserError("--column", "a recipe names its own columns", "Leave it out, or give the file of the texts")
        recipe = load(source, None)
        texts = Texts.of(recipe.data, recipe.task.columns, columns_of_texts(recipe.task))
    else:
        data = Data(path=str(source), columns={"text": column or "text"})
        texts = Texts.of(data, {"text": Column("the texts", text=True)}, ["text"])
    parts = [Tokenization.choose({name: {"vocab_size": vocab_size}}) for name in names("tokenizers")]
    cuts = compare(texts, parts, " ".join(text) if text else None)
    print_cuts(cuts)
    if plot is not None:
        from hfrecipes.plots import draw_tokens

        plot.parent.mkdir(parents=True, exist_ok=True)
        draw_tokens(cuts, plot)
        print(plot)


def features(
    limit: Annotated[float | None, typer.Option(min=0, help="Delete what was used the longest ago beyond so many GB.")] = None,
) -> None:
    """What the feature store holds, and how to make it smaller."""
    from hfrecipes import feature_store

    folder = feature_store.home()
    if limit is not None:
        print(f"deleted {len(feature_store.evict(folder, int(limit * 1e9)))} files")
    found = feature_store.sizes(folder)
    for name, size, days in found:
        print(f"{name}  {size / 1e6:10.1f} MB  used {days:.1f} days ago")
    print(f"{sum(size for _, size, _ in found) / 1e6:.1f} MB in {folder}")


def doctor(
    recipe: Annotated[Path | None, typer.Argument(metavar="[RECIPE.yaml]", help="Say what is missing for it, too.")] = None,
    overrides: Overrides = None,
) -> None:
    """What is installed, where this machine can train and serve, and what is missing for a recipe."""
    from hfrecipes.diagnosis import devices, lacking, packages, python

    print(python())
    for name, state in [*packages(), *devices()]:
        print(f"  {name:<20} {state}")
    if recipe is None:
        return
    stops, notes = lacking(load(recipe, overrides))
    for line in [*notes, *stops]:
        print(f"{'MISSING' if line in stops else 'note':<8} {line}")
    if stops:
        raise typer.Exit(1)
    print(f"{recipe} can run here")
