"""generative-question-answering: the answer to a question about a context, written in words of the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator

from hfrecipes.columns import Column
from hfrecipes.metrics.exact_match import ExactMatch
from hfrecipes.metrics.squad import Squad
from hfrecipes.part import value
from hfrecipes.tasks import Row
from hfrecipes.tasks._question import COLUMNS, question_and_context
from hfrecipes.tasks._source_target import PLACE, Generated, SourceTarget

if TYPE_CHECKING:
    from hfrecipes.metrics import Metric

QUESTION, CONTEXT = "{question}", "{context}"


def _has_places(template: str) -> str:
    if template.count(QUESTION) != 1 or template.count(CONTEXT) != 1:
        raise ValueError(f"has no place for both texts. Write {QUESTION} and {CONTEXT} once each where they go")
    return template


@value
class GenerativeQuestionAnswering(SourceTarget):
    """The answer to a question about a context, written by the model (Raffel et al. 2020, arXiv:1910.10683, appendix D.15); on
    the Hub it is a text2text-generation model. Measured by SQuAD's exact match and F1.

    The rows are those of question-answering; where one has several answers, the first is learned, and one without an answer
    teaches to write nothing. A context that is too long is cut.
    """

    template: Annotated[str, AfterValidator(_has_places)] = "question: {question} context: {context}"

    columns: ClassVar[Mapping[str, Column]] = COLUMNS

    def sourced(self, row: Row) -> Row:
        return {**row, "source": row["context"]}

    def frame(self, row: Row) -> str:
        before, after = self.template.replace(CONTEXT, PLACE).split(QUESTION)
        return f"{before}{row['question'].replace(PLACE, '')}{after}"

    def taught(self, row: Row, answer: Generated) -> Row:
        return {**row, "answers": {"text": [answer.text], "answer_start": [-1]}}

    def row(self, given: Any) -> Row:
        return question_and_context(given)

    def reference(self, row: Row, config: Mapping[str, Any]) -> list[str]:
        return list(row["answers"]["text"])

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (
            Squad(),
            ExactMatch(),
        )
