"""hfrecipes: recipes that take BERT, GPT and T5 from a data set to a model that can be trusted in production.

The public names are loaded when first used (PEP 562), so that `import hfrecipes` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hfrecipes import auto_classes

if TYPE_CHECKING:
    from hfrecipes.data import Data
    from hfrecipes.folder import Run
    from hfrecipes.inference.cache import Cache
    from hfrecipes.inference.predictor import Predictor
    from hfrecipes.models import Model
    from hfrecipes.monitor import Monitor
    from hfrecipes.plugins.hub_predictor import HubPredictor
    from hfrecipes.plugins.pipelines import pipeline, register
    from hfrecipes.recipe import Recipe
    from hfrecipes.recipes.bert import BertRecipe
    from hfrecipes.recipes.gpt import GptRecipe
    from hfrecipes.recipes.static import StaticRecipe
    from hfrecipes.recipes.t5 import T5Recipe
    from hfrecipes.report import Report
    from hfrecipes.retraining import retrain
    from hfrecipes.verbs import fit, run, ship

__version__ = "0.1.0"

_HOMES = {
    "BertRecipe": "recipes.bert",
    "Cache": "inference.cache",
    "Data": "data",
    "GptRecipe": "recipes.gpt",
    "HubPredictor": "plugins.hub_predictor",
    "Model": "models",
    "Monitor": "monitor",
    "Predictor": "inference.predictor",
    "Recipe": "recipe",
    "Report": "report",
    "Run": "folder",
    "StaticRecipe": "recipes.static",
    "T5Recipe": "recipes.t5",
    "fit": "verbs",
    "pipeline": "plugins.pipelines",
    "register": "plugins.pipelines",
    "retrain": "retraining",
    "run": "verbs",
    "ship": "verbs",
}

__all__ = [
    "BertRecipe",
    "Cache",
    "Data",
    "GptRecipe",
    "HubPredictor",
    "Model",
    "Monitor",
    "Predictor",
    "Recipe",
    "Report",
    "Run",
    "StaticRecipe",
    "T5Recipe",
    "__version__",
    "fit",
    "pipeline",
    "register",
    "retrain",
    "run",
    "ship",
]


auto_classes.register()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hfrecipes' has no attribute '{name}'")
    return getattr(importlib.import_module(f"hfrecipes.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
