"""A task of one's own in one file: a headline for a text. Nothing else has to be edited.

    hfrecipes run recipe.yaml task=examples/own_task.py

with any recipe of the gpt or t5 family whose data has the columns `source` and `target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hfrecipes.metrics import Metric
from hfrecipes.metrics.exact_match import ExactMatch
from hfrecipes.metrics.rouge import Rouge
from hfrecipes.part import value
from hfrecipes.tasks._source_target import Generated, SourceTarget


@value
class Headline(SourceTarget):
    """A headline for a text, in capitals where `capitals` says so."""

    capitals: bool = False

    def prediction(self, answer: Generated, config: Mapping[str, Any]) -> str:
        return answer.text.upper() if self.capitals else answer.text

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Rouge(), ExactMatch())
