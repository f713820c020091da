"""Commands on a recipe: run it or a part of it, search its values, show it."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from hfrecipes.cli.given import Out, Overrides, RecipeFile, Wait, finish, load


def run(recipe: RecipeFile, overrides: Overrides = None, out: Out = None, wait: Wait = False) -> None:
    """Fit and ship: from the data to a checked bundle."""
    from hfrecipes import verbs

    loaded = load(recipe, overrides)
    folder = out or Path("runs") / recipe.stem
    finish(lambda: verbs.run(loaded, folder), folder, wait)


def fit(recipe: RecipeFile, overrides: Overrides = None, out: Out = None, wait: Wait = False) -> None:
    """Train and evaluate."""
    from hfrecipes import verbs
    from hfrecipes.report import Report

    folder = out or Path("runs") / recipe.stem
    loaded = load(recipe, overrides)
    finish(lambda: Report.load(verbs.fit(loaded, folder).path), folder, wait)


def launch(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE.yaml", help="A recipe.")],
    overrides: Overrides = None,
    out: Out = None,
    processes: Annotated[int, typer.Option("-n", "--processes", help="Processes on each machine: one a GPU, or a core.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines.")] = 1,
    gpus: Annotated[bool, typer.Option("--gpus", help="Each process has a GPU.")] = False,
    render: Annotated[str | None, typer.Option(metavar="CLUSTER", help="Print a job for slurm or kubernetes instead.")] = None,
    name: Annotated[str, typer.Option(help="The job's name; the recipe's where it is not given.")] = "",
    image: Annotated[str, typer.Option(help="The container's image, for Kubernetes.")] = "hfrecipes:latest",
    hours: Annotated[int, typer.Option(help="The time that the job is given, for SLURM.")] = 24,
) -> None:
    """Run a recipe in several processes: here, or as a job that is printed."""
    from hfrecipes.launching import check_cluster
    from hfrecipes.launching import launch as made

    found = made(
        recipe, overrides or (), out=None if out is None else str(out), processes=processes, nodes=nodes, gpus=gpus, name=name,
        image=image, hours=hours,
    )  # fmt: skip
    load(Path(recipe), overrides)
    if render is not None:
        print(found.render(check_cluster(render)), end="")
        return
    command = found.command()
    os.execve(command[0], command, {**os.environ, **found.environment})


def lr_find(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    steps: Annotated[int, typer.Option(min=10, help="Steps of the sweep.")] = 100,
) -> None:
    """Try growing learning rates in a short training, and suggest one (Smith's range test)."""
    from hfrecipes.rate_finder import find_rate

    folder = out or Path("runs") / f"{recipe.stem}_lr_find"
    found = find_rate(load(recipe, overrides), folder, steps)
    print(f"train.learning_rate={found.suggestion:.1e}\n{folder / 'lr_find.png'}")


def tune(
    recipe: RecipeFile,
    space: Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="The values that may be drawn, by key.")],
    overrides: Overrides = None,
    out: Out = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of an earlier call counted.")] = 20,
) -> None:
    """Search the values of a recipe that do best on the validation split (needs optuna)."""
    from hfrecipes import tuning

    folder = out or Path("runs") / f"{recipe.stem}_tune"
    found = tuning.tune(recipe, space, folder, trials, overrides or ())
    print(f"{found.figure} {found.score:.4f} after {found.trials} trials, with")
    print(shlex.join(f"{key}={json.dumps(entry)}" for key, entry in found.values.items()))
    print(folder / "best.yaml")


def frontier(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    beside: Annotated[list[Path] | None, typer.Option(metavar="RUN", help="Measure this finished run, too.")] = None,
) -> None:
    """Measure all combinations of the values in the recipe's `frontier`, and choose by its `pick`."""
    from hfrecipes.folder import Run
    from hfrecipes.frontier import frontier as measured
    from hfrecipes.tables import print_frontier

    print_frontier(measured(recipe, out or Path("runs") / recipe.stem, overrides or (), [Run(folder) for folder in beside or []]))


def show(recipe: RecipeFile, overrides: Overrides = None) -> None:
    """The recipe as it is understood, with the overrides."""
    from hfrecipes.config import to_yaml

    print(to_yaml(load(recipe, overrides).dump()), end="")
