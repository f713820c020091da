"""What a task says about rows and texts that it cannot use, and the odd texts that it must bear."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from hfrecipes import Predictor
from hfrecipes.config import build
from hfrecipes.errors import DataError, RecipeError
from hfrecipes.models import load_tokens
from hfrecipes.recipe import Recipe
from hfrecipes.tasks import Task, Window
from hfrecipes.tasks.question_answering import QuestionAnswering
from hfrecipes.tasks.summarization import Summarization
from hfrecipes.tasks.text_generation import TextGeneration
from hfrecipes.tasks.token_classification import TokenClassification, spans
from hfrecipes.verbs import fit

ODD = [
    "",
    " ",
    "\x00",
    "film \x00 good",
    "\ud800 film",
    "🙂🙂 film",
    "הסרט היה טוב",
    "الفيلم",
    "a\u0301\u200b\ufeff",
    "film " * 200_000,
]


@pytest.mark.parametrize("graph", ["pytorch", "int8"])
def test_odd_texts_are_answered_in_order_and_quickly(finished: Path, graph: str) -> None:
    predictor = Predictor.open(finished, graph)
    started = time.perf_counter()
    answers = predictor([*ODD, "the film was great"])
    assert time.perf_counter() - started < 5
    assert len(answers) == len(ODD) + 1
    assert answers[-1].label == "positive"
    assert all(np.isfinite(answer.score) for answer in answers)


@pytest.mark.parametrize("name", ["token-classification", "question-answering", "sentence-similarity"])
def test_odd_texts_can_be_read_by_tasks_of_words_and_spans(name: str, tiny_bert: Path) -> None:
    task = Task.find(name)()
    tokens = load_tokens(tiny_bert, 48, {})
    given = [("film", text) for text in ODD] if name != "token-classification" else ODD
    rows = [task.row(each) for each in given]
    features = task.encode(rows, tokens, {})
    assert {f["row"] for f in features} == set(range(len(rows)))
    assert max(len(f["input_ids"]) for f in features) <= 48


def test_tags_must_be_bio_or_bioes() -> None:
    task = TokenClassification()
    with pytest.raises(DataError, match="'person' is no BIO or BIOES tag"):
        task.learn(Dataset.from_list([{"tokens": ["a"], "tags": ["person"]}]), {})
    config = task.learn(Dataset.from_list([{"tokens": ["a", "b"], "tags": ["B-x", "O"]}]), {})
    with pytest.raises(DataError, match="a row has 2 words and 1 tags"):
        task._targets({"tokens": ["a", "b"], "tags": ["O"]}, config)
    with pytest.raises(DataError, match="the tag 'B-y' is not among those of the training rows"):
        task._targets({"tokens": ["a"], "tags": ["B-y"]}, config)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["B-x", "I-x", "O", "B-y"], [("x", 0, 3), ("y", 6, 7)]),
        (["I-x", "I-x", "I-y"], [("x", 0, 3), ("y", 4, 5)]),
        (["B-x", "B-x"], [("x", 0, 1), ("x", 2, 3)]),
        (["S-x", "B-x", "E-x", "S-x"], [("x", 0, 1), ("x", 2, 5), ("x", 6, 7)]),
        (["O", "O"], []),
    ],
)
def test_entities_are_read_from_bio_and_bioes(tags: list[str], found: list[tuple[str, int, int]]) -> None:
    words = ["a", "b", "c", "d"][: len(tags)]
    assert [(e.label, e.start, e.end) for e in spans({"tokens": words}, tags, [1.0] * len(tags))] == found


def test_an_answer_must_stand_where_it_is_said_to(tmp_path: Path) -> None:
    rows = Dataset.from_list([{"question": "q", "context": "the film", "answers": {"text": ["film"], "answer_start": [3]}}])
    with pytest.raises(DataError, match="'film' does not stand at character 3"):
        QuestionAnswering().learn(rows, {})
    with pytest.raises(DataError, match="is not in SQuAD's form"):
        QuestionAnswering().learn(Dataset.from_list([{"question": "q", "context": "c", "answers": "film"}]), {})


def test_the_best_span_of_all_windows_is_given(tiny_bert: Path) -> None:
    task = QuestionAnswering(max_length=16, stride=4)
    tokens = load_tokens(tiny_bert, 16, {})
    row = task.row(("film", "the film was good and my card bank is awful the plot was great end"))
    windows = []
    features = task.encode([row], tokens, {})
    assert len(features) >= 2
    for window in features:
        at = [row["context"][b:e] == "great" for b, e in zip(window["begins"], window["ends"], strict=True)]
        logits = np.where(at, 9.0, 0.0)
        windows.append(Window(window, {"start_logits": logits, "end_logits": logits}))
    answer = task.answer(row, windows, tokens, {})
    assert (answer.text, answer.start, answer.end) == ("great", row["context"].index("great"), row["context"].index("great") + 5)
    empty = task.answer(
        row,
        [Window(w.features, {k: np.zeros_like(v) for k, v in w.outputs.items()}) for w in windows],
        tokens,
        {"null_answers": True},
    )
    assert empty.text == ""


def test_a_template_needs_a_place_for_the_text(values: dict[str, Any]) -> None:
    for template in ("summarize", "{source} {source}"):
        with pytest.raises(RecipeError, match="has no place for the text"):
            build(Recipe, {**values, "recipe": "t5", "task": {"summarization": {"template": template}}})


def test_a_source_is_cut_and_the_template_stays_whole(tiny_t5: Path) -> None:
    tokens = load_tokens(tiny_t5, 12, {})
    task = Summarization(template="the film : {source} is", max_length=12)
    [features] = task.encode([{"source": "good " * 50}], tokens, {"is_encoder_decoder": True})
    words = tokens.tokenizer.decode(features["input_ids"], skip_special_tokens=True).split()
    assert len(features["input_ids"]) == 12
    assert (words[:2], words[-1]) == (["the", "film"], "is")


def test_a_prompt_longer_than_the_context_is_refused(tiny_gpt: Path) -> None:
    task = TextGeneration(generation={"max_new_tokens": 10})
    with pytest.raises(DataError, match=r"there is room for 54\. Shorten it"):
        task.encode([{"text": "film " * 60}], load_tokens(tiny_gpt, None, {"n_positions": 64}), {"eos_token_id": 1})


@pytest.mark.parametrize(
    ("family", "task", "able"),
    [
        ("bert", "translation", "fill-mask"),
        ("gpt", "token-classification", "text-generation"),
        ("t5", "fill-mask", "translation"),
    ],
)
def test_a_task_that_the_family_cannot_do_names_those_it_can(
    values: dict[str, Any], tmp_path: Path, family: str, task: str, able: str
) -> None:
    with pytest.raises(RecipeError, match=rf"{family} cannot do {task}\. It can do: .*{able}"):
        fit(build(Recipe, {**values, "recipe": family, "task": task}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_larger_than_the_embeddings_is_refused(values: dict[str, Any], tiny_bert: Path, tmp_path: Path) -> None:
    import shutil

    from hfrecipes.errors import ModelError
    from tests.conftest import make_tokenizer

    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    make_tokenizer([f"w{i}" for i in range(300)]).save_pretrained(folder)
    with pytest.raises(ModelError, match="the tokenizer has 305 tokens and the model embeddings for"):
        fit(build(Recipe, {**values, "model": str(folder)}), tmp_path / "run")
