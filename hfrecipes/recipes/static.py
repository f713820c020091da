"""Static models: a vector a token, pooled, under a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic_core import PydanticCustomError

from hfrecipes.family import Family
from hfrecipes.recipe import Recipe
from hfrecipes.value import keywords, value
from hfrecipes.vectors import Vectors


@value
class StaticRecipe(Recipe):
    """Train vectors of tokens and a head over their mean (Shen et al. 2018, arXiv:1805.09843): `model: {new: static}`.

    `vectors` says what the vectors of a new model are before the training: those of an encoder's tokens, which brings its
    tokenizer along (`encoder`), learned from the training texts (`word2vec`, `fasttext`, `glove`), or from a `file`.
    """

    vectors: Vectors | None = None

    family: ClassVar[Family] = Family("static", "encoder")

    @classmethod
    def read(cls, given: Any) -> Any:
        """Refuse vectors for a model that has its own. A run goes on from its own checkpoint with the recipe as it was."""
        asked = keywords(given)
        model = asked.get("model")
        trained = isinstance(model, str) or (isinstance(model, Mapping) and "new" not in model)
        if trained and asked.get("vectors") is not None:
            what = "`vectors` are for a new model. Write `new: static` under `model`, or leave them out"
            raise PydanticCustomError("vectors", what)
        return super().read(given)

    @property
    def origin(self) -> Vectors | None:
        return self.vectors if self.model.new else None
