"""translation: a text in another language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.metrics.bleu import Bleu
from hfrecipes.metrics.chrf import Chrf
from hfrecipes.part import value
from hfrecipes.tasks._source_target import SourceTarget

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric


@value
class Translation(SourceTarget):
    """A text in another language, measured by BLEU and chrF (Post 2018, arXiv:1804.08771)."""

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (
            Bleu(),
            Chrf(),
        )
