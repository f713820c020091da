"""The one-liners, ours and those that transformers 5 lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

import hfrecipes
from hfrecipes.errors import UserError
from hfrecipes.plugins.pipelines import LOST


def test_a_pipeline_of_ours_opens_what_a_run_wrote(finished: Path) -> None:
    [answer] = hfrecipes.pipeline("text-classification", finished)(["the film was great"])
    assert answer.label == "positive"
    with pytest.raises(UserError, match="was made for text-classification, not summarization"):
        hfrecipes.pipeline("summarization", finished)
    with pytest.raises(UserError, match=r"unknown task 'summarisation'\. Did you mean 'summarization'"):
        hfrecipes.pipeline("summarisation", finished)


def test_the_lost_names_are_registered_once(tiny_bert: Path, tiny_t5: Path) -> None:
    from transformers.pipelines import PIPELINE_REGISTRY

    hfrecipes.register()
    assert set(LOST) <= set(PIPELINE_REGISTRY.supported_tasks)
    assert hfrecipes.register() == []


def test_transformers_pipeline_writes_again(tiny_t5: Path) -> None:
    hfrecipes.register()
    for task in ("summarization", "translation", "text2text-generation"):
        made = transformers.pipeline(task, model=str(tiny_t5))
        [both, alone] = made(["the film was good", "film"], max_new_tokens=3), made("film", max_new_tokens=3)
        assert [set(answer) for answer in both] == [{LOST[task]}] * 2
        assert both[1] == alone[0]


def test_transformers_pipeline_answers_questions_again(tiny_bert: Path) -> None:
    hfrecipes.register()
    ask = transformers.pipeline("question-answering", model=str(tiny_bert))
    answer = ask(question="which film", context="the film was good and the plot awful")
    assert set(answer) == {"answer", "score", "start", "end"}
    assert "the film was good and the plot awful"[answer["start"] : answer["end"]] == answer["answer"]
    assert ask({"question": "which film", "context": "the film was good and the plot awful"}) == answer
