"""What tasks with a question about a context share: SQuAD's columns."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hfrecipes.columns import Column
from hfrecipes.tasks import Row

COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "question": Column("the question", text=True),
        "context": Column("the text that holds the answer", text=True),
        "answers": Column("{text: [...], answer_start: [...]}, empty lists where there is no answer"),
    }
)


def question_and_context(given: Any) -> Row:
    """The row that a pair of question and context means, or a mapping with both."""
    question, context = (given["question"], given["context"]) if isinstance(given, Mapping) else given
    return {"question": question, "context": context}
