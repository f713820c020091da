"""The command line: the same verbs as words. Loads what a verb needs when it is called, so that `--help` is instant."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfrecipes import __version__, distributed
from hfrecipes.errors import HfRecipesError, UserError
from hfrecipes.part import names, summary

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

app = typer.Typer(
    help="Recipes that take BERT, GPT and T5 from a data set to a model that can be trusted in production.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
KINDS = (
    "recipes",
    "tasks",
    "heads",
    "strategies",
    "optimizers",
    "schedules",
    "objectives",
    "losses",
    "metrics",
    "targets",
    "checks",
    "tokenizers",
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="A recipe.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.KEY=VALUE]...", help="Changes to the recipe, in YAML.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="The run folder; runs/NAME of the recipe where it is not given.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


@app.command()
def run(recipe: RecipeFile, overrides: Overrides = None, out: Out = None) -> None:
    """Fit and ship: from the data to a checked bundle."""
    from hfrecipes import verbs

    loaded = _load(recipe, overrides)
    folder = out or Path("runs") / recipe.stem
    _finish(lambda: verbs.run(loaded, folder), folder)


@app.command()
def fit(recipe: RecipeFile, overrides: Overrides = None, out: Out = None) -> None:
    """Train and evaluate."""
    from hfrecipes import verbs
    from hfrecipes.report import Report

    folder = out or Path("runs") / recipe.stem
    _finish(lambda: Report.load(verbs.fit(_load(recipe, overrides), folder).path), folder)


@app.command()
def ship(run: RunFolder) -> None:
    """Export, measure and check a run that was fitted."""
    from hfrecipes import verbs
    from hfrecipes.folder import Run

    _finish(lambda: verbs.ship(Run.open(run)), run)


@app.command()
def predict(
    run: RunFolder,
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts, or JSON objects with the task's columns; lines of standard input where there are none."),
    ] = None,
    graph: Annotated[str | None, typer.Option(help="A graph of the bundle, such as fp32, or pytorch.")] = None,
) -> None:
    """Answer texts from the bundle of a run."""
    from hfrecipes.inference.predictor import Predictor

    predictor = Predictor.open(run, graph)
    given = iter(texts) if texts else (line.rstrip("\n") for line in sys.stdin)
    for answer in predictor(_row(text) for text in given):
        print(answer)


@app.command("list")
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
            print(f"  {name:<22} {summary(each, name)}")


@app.command("lr-find")
def lr_find(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    steps: Annotated[int, typer.Option(min=10, help="Steps of the sweep.")] = 100,
) -> None:
    """Try growing learning rates in a short training, and suggest one (Smith's range test)."""
    from hfrecipes.rate_finder import find_rate

    folder = out or Path("runs") / f"{recipe.stem}_lr_find"
    found = find_rate(_load(recipe, overrides), folder, steps)
    print(f"train.learning_rate={found.suggestion:.1e}\n{folder / 'lr_find.png'}")


@app.command()
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


@app.command()
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


@app.command()
def show(recipe: RecipeFile, overrides: Overrides = None) -> None:
    """The recipe as it is understood, with the overrides."""
    from hfrecipes.config import to_yaml

    print(to_yaml(_load(recipe, overrides).dump()), end="")


@app.command()
def table(runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")]) -> None:
    """A Markdown table of runs: before and after training, as served, size and speed."""
    from hfrecipes.report import Report, comparison, markdown_table

    print(markdown_table(*comparison([Report.load(folder) for folder in runs])))


@app.command()
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


@app.command()
def schema() -> None:
    """A JSON Schema of recipes, for the completion of an editor."""
    from hfrecipes.config import schema as made
    from hfrecipes.recipe import Recipe

    print(json.dumps(made(Recipe), indent=2))


@app.command()
def tokens(
    source: Annotated[Path, typer.Argument(metavar="RECIPE.yaml|DATA", help="A recipe, or a file or folder of texts.")],
    text: Annotated[list[str] | None, typer.Argument(help="The text to show cut; else the beginning of the first row.")] = None,
    column: Annotated[str | None, typer.Option(help="The column of the texts in a file; `text` where it is not given.")] = None,
    vocab_size: Annotated[int, typer.Option(min=1, help="The vocabulary that each tokenizer may have.")] = 2_000,
    plot: Annotated[Path | None, typer.Option("-o", "--out", help="A PNG file to draw the figures in.")] = None,
) -> None:
    """Train every kind of tokenizer on the texts, and compare how they cut them."""
    from hfrecipes.data import Column, Data
    from hfrecipes.tables import print_cuts
    from hfrecipes.tokenization import Texts, columns_of_texts, compare
    from hfrecipes.tokenizers import Tokenization

    if plot is not None and plot.suffix != ".png":
        raise UserError("--out", f"{plot} is not the name of a PNG file", "Write a name that ends in .png")
    if source.suffix in (".yaml", ".yml"):
        if column is not None:
            raise UserError("--column", "a recipe names its own columns", "Leave it out, or give the file of the texts")
        recipe = _load(source, None)
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


@app.command()
def doctor() -> None:
    """What is installed, and on which devices this machine can train and serve."""
    packages = ("torch", "transformers", "datasets", "accelerate", "peft", "optimum", "evaluate", "onnx", "onnxruntime")
    print(f"hfrecipes {__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    for package in packages:
        try:
            print(f"  {package:<14} {version(package)}")
        except PackageNotFoundError:
            print(f"  {package:<14} missing: pip install {package}")
    import onnxruntime
    import torch

    from hfrecipes.arguments import native_bf16

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
    print(f"trains on      {device}, {'bf16' if native_bf16() else 'fp32'}")
    print(f"serves with    {', '.join(onnxruntime.get_available_providers())}")


def _row(text: str) -> Any:
    """A text, or the columns in a JSON object: `{"question": "…", "context": "…"}`."""
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError("predict", f"is not JSON: {error}", "Write a text, or an object with the task's columns") from None


def _load(path: Path, overrides: Sequence[str] | None) -> Recipe:
    from hfrecipes.recipe import Recipe

    return Recipe.load(path, overrides or ())


def _finish(work: Any, folder: Path) -> None:
    """Do the work of a verb, and print its table also when a check refuses."""
    from hfrecipes.errors import CheckFailed
    from hfrecipes.report import Report
    from hfrecipes.tables import print_report

    try:
        found = work()
    except CheckFailed:
        print_report(Report.load(folder))
        raise
    print_report(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake is one line and exit code 2, a refusal one line and exit code 1."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("hfrecipes").setLevel(logging.INFO if distributed.is_main() else logging.ERROR)
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="hfrecipes", standalone_mode=True)
    except HfRecipesError as error:
        if distributed.is_main():
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
