"""bleu: how close translations are to references, by shared runs of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.metrics._references import columns
from hfrecipes.part import value


@value
class Bleu(Metric):
    """The quality of translations from 0 to 100 by shared runs of one to four words, by sacrebleu.

    BLEU (Papineni et al. 2002) is counted over the whole corpus with sacrebleu's defaults (Post 2018). A row may have several
    references.
    """

    @property
    def figure(self) -> str:
        return "bleu"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from sacrebleu.metrics import BLEU

        return {self.figure: float(BLEU().corpus_score(list(predictions), columns(references)).score)}

    def signature(self, references: Sequence[Any] = ("one",)) -> str:
        """How sacrebleu counts, in its own words, for rows with as many references as these; one each where none are given."""
        from sacrebleu.metrics import BLEU

        metric = BLEU()
        metric.corpus_score([""] * len(references), columns(references))
        return str(metric.get_signature())
