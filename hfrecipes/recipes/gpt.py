"""Decoders: gpt2, llama, smollm and any other with an Auto class for causal language modelling."""

from __future__ import annotations

from typing import ClassVar

from hfrecipes.family import Family
from hfrecipes.part import value
from hfrecipes.recipe import Recipe


@value
class GptRecipe(Recipe):
    """Fine-tune a decoder (Radford et al. 2019, "Language models are unsupervised multitask learners")."""

    family: ClassVar[Family] = Family("gpt", "decoder")
