"""text2text-generation: any text in, any text out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.metrics.exact_match import ExactMatch
from hfrecipes.metrics.squad import Squad
from hfrecipes.part import value
from hfrecipes.tasks._source_target import SourceTarget

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric


@value
class Text2textGeneration(SourceTarget):
    """Any text in, any text out, measured by exact match and by the words shared (the F1 of SQuAD)."""

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (
            Squad(),
            ExactMatch(),
        )
