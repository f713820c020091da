"""rouge: the words and runs of words that a summary shares with a reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from hfrecipes.metrics import Metric
from hfrecipes.metrics._references import accepted
from hfrecipes.part import value

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@value
class Rouge(Metric):
    """ROUGE F-measures of summaries: shared words, pairs of words, longest common subsequences (Lin 2004), by rouge-score.

    A row counts with its best reference by each figure; the figures are means over rows. `which` is the figure that counts.
    `stemmer` cuts English endings off. Words are made of the letters a to z and digits: other scripts score 0.
    """

    which: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"] = "rougeL"
    stemmer: bool = True

    @property
    def figure(self) -> str:
        return self.which

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        rows = [_figures(said, tuple(accepted(reference)), self.stemmer) for said, reference in pairs]
        return {kind: sum(row[kind] for row in rows) / len(rows) for kind in dict.fromkeys((self.which, *KINDS))}


@lru_cache(maxsize=100_000)
def _figures(said: str, references: tuple[str, ...], stemmer: bool) -> dict[str, float]:
    """The figures of one row, which an interval over rows drawn again asks for many times."""
    from rouge_score.rouge_scorer import RougeScorer

    found = RougeScorer(list(KINDS), use_stemmer=stemmer).score_multi([*map(_lines, references)], _lines(said))
    return {kind: float(score.fmeasure) for kind, score in found.items()}


def _lines(text: str) -> str:
    """A sentence a line, as rougeLsum wants it; a text that has lines keeps them."""
    return text if "\n" in text else re.sub(r"(?<=[.!?]) ", "\n", text)
