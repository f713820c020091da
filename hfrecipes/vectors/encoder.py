"""encoder: a vector a token out of a trained encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.errors import RecipeError
from hfrecipes.models import Model
from hfrecipes.part import value
from hfrecipes.vectors import Corpus, Vectors

if TYPE_CHECKING:
    import numpy as np


@value
class Encoder(Vectors):
    """What the encoder `teacher` (a run, a folder, a name on the Hub) makes of each of its tokens alone, reduced to its main
    directions. The new model reads the teacher's tokens."""

    teacher: Model

    @property
    def reads(self) -> Model:
        return self.teacher

    def signature(self) -> str:
        return self.teacher.fingerprint()

    def learn(self, corpus: Corpus) -> np.ndarray:
        from hfrecipes.models import load_config, load_model
        from hfrecipes.vectors._encoder import reduced, states

        config = load_config(self.teacher)
        if config.is_encoder_decoder:
            raise RecipeError("vectors.encoder.teacher", f"{self.teacher.label} is no encoder alone", "Name an encoder")
        if corpus.width > config.hidden_size:
            what = f"{self.teacher.label} has {config.hidden_size} units, and the new model {corpus.width}"
            raise RecipeError("vectors.encoder", what, f"Write `model.config.hidden_size: {config.hidden_size}` or less")
        body = load_model(self.teacher, "feature-extraction", config).eval()
        return reduced(states(body, corpus.tokens, corpus.size), corpus.width)
