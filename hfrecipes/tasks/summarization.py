"""summarization: a short text that says what a long one says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.metrics.rouge import Rouge
from hfrecipes.part import value
from hfrecipes.tasks._source_target import SourceTarget

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric


@value
class Summarization(SourceTarget):
    """A short text that says what a long one says, measured by ROUGE (Lin 2004)."""

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Rouge(),)
