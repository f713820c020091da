"""`optimum-cli recipes …` is `hfrecipes …`, and `optimum-cli export recipe RECIPE.yaml` is `hfrecipes run RECIPE.yaml`.

This folder is part of optimum's namespace and must have no `__init__.py`. Optimum imports every file in it for each of its
commands: what is heavy is imported when ours is run.
"""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser
from typing import ClassVar

from optimum.commands.base import BaseOptimumCLICommand, CommandInfo
from optimum.commands.export.base import ExportCommand


class RecipesCommand(BaseOptimumCLICommand):
    """Every verb of hfrecipes, with all that is written behind it."""

    COMMAND = CommandInfo(name="recipes", help="Fine-tuning recipes for BERT, GPT and T5 (hfrecipes).")
    VERB: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def parse_args(parser: ArgumentParser) -> None:
        """All that is left."""
        parser.add_argument("words", nargs=REMAINDER, metavar="…", help="As behind `hfrecipes`: list, show, run, ship, …")

    def run(self) -> None:
        """Hand it on."""
        from hfrecipes.cli import main

        main([*self.VERB, *self.args.words])


class ExportRecipeCommand(RecipesCommand):
    """A recipe up to its bundles."""

    COMMAND = CommandInfo(name="recipe", help="Run a recipe: fine-tune, export its bundles, and check them.")
    VERB = ("run",)


REGISTER_COMMANDS = [RecipesCommand, (ExportRecipeCommand, ExportCommand)]
