"""Encoders: bert, distilbert, roberta, MiniLM and any other with an Auto class."""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.family import Family
from hfrecipes.part import value
from hfrecipes.recipe import Recipe


@value
class BertRecipe(Recipe):
    """Fine-tune an encoder (Devlin et al. 2019, arXiv:1810.04805)."""

    family: ClassVar[Family] = Family("bert", "encoder")
