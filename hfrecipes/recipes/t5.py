"""Encoder-decoders: t5, flan-t5, mt5 and any other with an Auto class for sequence-to-sequence models."""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.family import Family
from hfrecipes.part import value
from hfrecipes.recipe import Recipe


@value
class T5Recipe(Recipe):
    """Fine-tune an encoder-decoder (Raffel et al. 2020, arXiv:1910.10683)."""

    family: ClassVar[Family] = Family(
        "t5", "encoder-decoder", 5.0, "the page on T5 of transformers' documentation (1e-4 to 3e-4)"
    )
