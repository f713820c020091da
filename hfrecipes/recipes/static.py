"""Static models: a vector a token, pooled, under a head."""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.family import Family
from hfrecipes.part import value
from hfrecipes.recipe import Recipe


@value
class StaticRecipe(Recipe):
    """Train vectors of tokens and a head over their mean (Shen et al. 2018, arXiv:1805.09843): `model: {new: static}`."""

    family: ClassVar[Family] = Family("static", "encoder")
