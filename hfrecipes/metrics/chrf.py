"""chrf: how close translations are to references, by shared runs of characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.metrics._references import columns
from hfrecipes.part import value


@value
class Chrf(Metric):
    """The quality of translations from 0 to 100 by shared runs of one to six characters, by sacrebleu.

    chrF (Popović 2015) is counted over the whole corpus with sacrebleu's defaults (Post 2018). A row may have several
    references.
    """

    @property
    def figure(self) -> str:
        return "chrf"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        from sacrebleu.metrics import CHRF

        return {self.figure: float(CHRF().corpus_score(list(predictions), columns(references)).score)}

    def signature(self, references: Sequence[Any] = ("one",)) -> str:
        """How sacrebleu counts, in its own words, for rows with as many references as these; one each where none are given."""
        from sacrebleu.metrics import CHRF

        metric = CHRF()
        metric.corpus_score([""] * len(references), columns(references))
        return str(metric.get_signature())
