"""The command line: the same verbs as words. Loads what a verb needs when it is called, so that `--help` is instant."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

import typer

from hfrecipes import distributed
from hfrecipes.cli import (
    on_explaining,
    on_machine,
    on_monitor,
    on_recipes,
    on_releases,
    on_retraining,
    on_runs,
    on_services,
    on_starting,
    on_words,
)
from hfrecipes.errors import HfRecipesError
from hfrecipes.launching import check_world

app = typer.Typer(
    help="Recipes that take BERT, GPT and T5 from a data set to a model that can be trusted in production.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "init": on_starting.init,
    "run": on_recipes.run,
    "fit": on_recipes.fit,
    "launch": on_recipes.launch,
    "ship": on_runs.ship,
    "verify": on_runs.verify,
    "promote": on_releases.promote,
    "rollback": on_releases.rollback,
    "releases": on_releases.releases,
    "predict": on_runs.predict,
    "watch": on_monitor.watch,
    "retrain": on_retraining.retrain,
    "serve": on_services.serve,
    "export": on_services.export,
    "list": on_machine.list_parts,
    "show": on_recipes.show,
    "lr-find": on_recipes.lr_find,
    "tune": on_recipes.tune,
    "frontier": on_recipes.frontier,
    "bench": on_runs.bench,
    "table": on_runs.table,
    "diff": on_runs.diff,
    "retention": on_runs.retention,
    "explain": on_explaining.explain,
    "vectors": on_words.vectors,
    "words": on_words.words,
    "tokens": on_machine.tokens,
    "features": on_machine.features,
    "schema": on_machine.schema,
    "doctor": on_machine.doctor,
}
"""The commands in the order that `--help` shows them in."""
for name, command in COMMANDS.items():
    app.command(name)(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake is one line and exit code 2, a refusal one line and exit code 1."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("hfrecipes").setLevel(logging.INFO if distributed.is_main() else logging.ERROR)
    try:
        check_world(os.environ)
        app(args=list(arguments) if arguments is not None else None, prog_name="hfrecipes", standalone_mode=True)
    except HfRecipesError as error:
        if distributed.is_main():
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
