"""A family of one's own in one file. Nothing else has to be edited.

hfrecipes run recipe.yaml recipe=examples/own_family.py
"""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.family import Family
from hfrecipes.part import value
from hfrecipes.recipe import Recipe


@value
class ElectraRecipe(Recipe):
    """Fine-tune a discriminator (Clark et al. 2020, arXiv:2003.10555), with fewer surprises: its seed is 1."""

    seed: int = 1

    family: ClassVar[Family] = Family("electra", "encoder")
