"""squad: exact match and F1 of the words of answers to questions."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from hfrecipes.metrics import Metric
from hfrecipes.part import value


@value
class Squad(Metric):
    """Exact match and the F1 of shared words, the best over the acceptable answers, as SQuAD 2.0 counts them.

    Case, punctuation, articles and white space are forgiven (Rajpurkar et al. 2016). An empty list of references means that
    there is no answer: then only an empty text is right (Rajpurkar et al. 2018). Where some questions have an answer and some
    have none, each kind is reported as well.
    """

    mean_of_rows: ClassVar[bool] = True

    @property
    def figure(self) -> str:
        return "squad_f1"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        answers = [[r] if isinstance(r, str) and r else list(r) for r in references]
        rows = [_best(said, accepted) for said, accepted in zip(predictions, answers, strict=True)]
        figures = _means(rows, "")
        if any(answers) and not all(answers):
            figures |= _means([row for row, accepted in zip(rows, answers, strict=True) if accepted], "_has_answer")
            figures |= _means([row for row, accepted in zip(rows, answers, strict=True) if not accepted], "_no_answer")
        return figures


def _means(rows: Sequence[tuple[float, float]], which: str) -> dict[str, float]:
    f1, em = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    return {f"squad_f1{which}": f1, f"squad_em{which}": em}


def _best(prediction: str, accepted: Sequence[str]) -> tuple[float, float]:
    """F1 and exact match. An acceptable answer of which nothing is left, as `The`, does not count; no answer has no words."""
    said, true = _words(prediction), [words for words in map(_words, accepted) if words] or [[]]
    return max(_f1(said, words) for words in true), float(said in true)


def _words(text: str) -> list[str]:
    plain = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _f1(said: Sequence[str], true: Sequence[str]) -> float:
    if not said or not true:
        return float(said == true)
    return 2 * (Counter(said) & Counter(true)).total() / (len(said) + len(true))
