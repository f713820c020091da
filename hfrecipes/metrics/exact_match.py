"""exact_match: the share of texts that equal an acceptable one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.metrics._references import accepted
from hfrecipes.part import value


@value
class ExactMatch(Metric):
    """The share of texts that equal one of the acceptable texts, white space at the ends aside.

    Case and punctuation count; `squad` has the comparison that forgives them.
    """

    @property
    def figure(self) -> str:
        return "exact_match"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        hits = [said.strip() in [text.strip() for text in accepted(reference)] for said, reference in pairs]
        return {self.figure: sum(hits) / len(hits)}
