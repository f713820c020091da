"""summarization: a short text that says what a long one says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.metrics.rouge import Rouge
from hfrecipes.part import value
from hfrecipes.tasks import Row
from hfrecipes.tasks._source_target import SourceTarget

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z])")


@value
class Summarization(SourceTarget):
    """A short text that says what a long one says, measured by ROUGE (Lin 2004)."""

    def baseline(self, rows: Sequence[Row], config: Mapping[str, Any]) -> list[Any] | None:
        """The first sentence (lead-1)."""
        return [SENTENCE_END.split(row["source"].strip(), maxsplit=1)[0] for row in rows]

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Rouge(),)
