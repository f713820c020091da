"""In-context shots: the examples most like a source stand in front of it, and never the source itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from hfrecipes.errors import RecipeError
from hfrecipes.tasks import Window
from hfrecipes.tasks._shown import Nearest, fitting, spread
from hfrecipes.tasks._source_target import SHOWN
from hfrecipes.tasks.generative_question_answering import GenerativeQuestionAnswering
from hfrecipes.tasks.text2text_generation import Text2textGeneration
from hfrecipes.tokens import Tokens

ROWS = [
    {"source": "the film was good", "target": "great"},
    {"source": "my bank card", "target": "card"},
    {"source": "the film was bad", "target": "awful"},
    {"source": "the plot is dull", "target": "poor"},
]
DECODER = {"eos_token_id": 1}


def test_the_nearest_shares_rare_words_and_is_never_the_text_itself() -> None:
    near = Nearest(("the film the film", "the card", "a card of a bank", "the play"))
    assert near.of("my card and bank", 2) == [2, 1]
    assert 1 not in near.of("the card", 3)
    assert Nearest(("x",)).of("y", 3) == [0]


def test_what_has_no_room_is_left_out_from_the_farthest_on() -> None:
    assert fitting(["near", "far", "farther"], [3, 3, 3], 7) == ["far", "near"]
    assert fitting(["near"], [3], 2) == []
    assert (spread(3, 5), spread(10, 5)) == ([0, 1, 2], [0, 2, 4, 6, 8])


def prompt(task: Any, row: dict[str, Any], tokens: Tokens, config: dict[str, Any]) -> str:
    """What a decoder reads."""
    return tokens.text(task.encode([row], tokens, config)[0]["input_ids"])


def test_the_likest_examples_stand_in_front_the_likest_last(tiny_gpt: Path) -> None:
    task = Text2textGeneration(template="{source} :", shots=2, max_length=64, max_target_length=4)
    config = DECODER | task.learn(Dataset.from_list(ROWS), DECODER)
    assert len(config[SHOWN]) == 4
    tokens = Tokens.open(tiny_gpt, 64, 64)
    words = prompt(task, {"source": "was the film great"}, tokens, config).split()
    assert [word for word in words if word in ("great", "awful", "card", "poor")] == ["awful", "great", "great"]
    asked = prompt(task, ROWS[0], tokens, config)
    assert asked.count("good") == 1
    tight = Text2textGeneration(template="{source} :", shots=2, max_length=24, max_target_length=4)
    assert "awful" not in prompt(tight, {"source": "was the film great"}, Tokens.open(tiny_gpt, 24, 64), config)


def test_questions_have_examples_too_and_what_follows_a_blank_line_is_no_answer(tiny_gpt: Path) -> None:
    rows = [
        {"question": f"was {word} good", "context": f"the {word} was fine", "answers": {"text": [word], "answer_start": [4]}}
        for word in ("film", "card", "bank")
    ]
    task = GenerativeQuestionAnswering(shots=1, max_length=64, max_target_length=4)
    config = DECODER | task.learn(Dataset.from_list(rows), DECODER)
    tokens = Tokens.open(tiny_gpt, 64, 64)
    words = prompt(task, {"question": "was my card good", "context": "my card was fine"}, tokens, config)
    assert words.count("was") == 4

    class Told(Tokens):
        def text(self, ids: Any) -> str:
            return "a card\n\nquestion: more"

    told = Told(**{field: getattr(tokens, field) for field in Tokens.__dataclass_fields__})
    assert task.answer(rows[0], [Window({}, {"sequences": None})], told, config).text == "a card"  # type: ignore[dict-item]


def test_more_shots_than_examples_are_refused() -> None:
    with pytest.raises(RecipeError, match="4 shots need as many rows beside the one that is asked, and there are 4"):
        Text2textGeneration(shots=4).learn(Dataset.from_list(ROWS), DECODER)
