"""What the answers of each task claim, which of it is right, and what of it stays at a limit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfrecipes.calibration import fit
from hfrecipes.checkpoint import save_trained
from hfrecipes.inference.predictor import Predictor
from hfrecipes.tasks import Task
from hfrecipes.tasks.question_answering import Answer
from hfrecipes.tasks.text_classification import Classification
from hfrecipes.tasks.token_classification import Entities, Entity
from hfrecipes.uncertainty import judged

SINGLE = {"problem_type": "single_label_classification", "id2label": {0: "a", 1: "b", 2: "c"}, "data_labels": []}
SEVERAL = {**SINGLE, "problem_type": "multi_label_classification"}
NUMBER = {"problem_type": "regression", "id2label": {0: "score"}}


def test_the_label_set_holds_what_is_probable_enough() -> None:
    task = Task.choose("text-classification")
    answer = Classification("b", 0.6, {"a": 0.3, "b": 0.6, "c": 0.1})
    assert task.nonconformity(answer, {"label": "a"}, SINGLE, [0.6]) == [pytest.approx(0.7)]
    assert task.within(answer, 0.5, [0.6], SINGLE).among == ("b",)
    wider = task.within(answer, 0.7, [0.6], SINGLE)
    assert (wider.among, wider.abstains) == (("b", "a"), True)
    assert task.within(answer, 0.3, [0.6], SINGLE).among == ()
    assert task.within(answer, math.inf, [0.6], SINGLE).among == ("b", "a", "c")


def test_several_labels_count_by_the_least_probable_true_one() -> None:
    task = Task.choose("text-classification")
    answer = Classification(("a",), 0.9, {"a": 0.9, "b": 0.4, "c": 0.1})
    assert task.nonconformity(answer, {"label": ["a", "b"]}, SEVERAL, [0.9]) == [pytest.approx(0.6)]
    assert task.nonconformity(answer, {"label": []}, SEVERAL, [0.9]) == [0.0]
    assert not task.within(answer, 0.2, [0.9], SEVERAL).abstains and task.within(answer, 0.7, [0.9], SEVERAL).abstains
    [(logits, truth)] = task.graded({"logits": np.array([[1.0, -2.0]])}, {"labels": np.array([[1.0, 0.0]])}, SEVERAL)
    assert logits.tolist() == [[0.0, 1.0], [0.0, -2.0]] and truth.tolist() == [1, 0]
    strict = Task.choose({"text-classification": {"threshold": 0.7}})
    assert strict.graded({"logits": np.zeros((1, 2))}, {"labels": np.zeros((1, 2))}, SEVERAL) == []


def test_a_number_has_an_interval_and_no_confidence() -> None:
    task = Task.choose("text-classification")
    answer = Classification(2.5, 2.5, {"score": 2.5})
    assert task.confidences(answer) == []
    assert task.nonconformity(answer, {"label": 3.0}, NUMBER, []) == [0.5]
    assert task.within(answer, 0.25, [], NUMBER).among == (2.25, 2.75)
    assert task.graded({"logits": np.zeros((1, 1))}, {"labels": np.zeros(1)}, NUMBER) == []


def test_entities_are_right_by_their_words_and_type_and_kept_by_their_score() -> None:
    task = Task.choose("token-classification")
    config = {"data_labels": []}
    entities = (Entity("PER", "Ann Lee", 0, 7, 0.9), Entity("LOC", "Rome", 11, 15, 0.4))
    answer = Entities(entities, ("B-PER", "I-PER", "O", "B-LOC"))
    row = {"tokens": ["Ann", "Lee", "in", "Rome"], "tags": ["B-PER", "I-PER", "O", "B-ORG"]}
    assert task.right(answer, row, config) == [True, False]
    assert task.nonconformity(answer, row, config, [0.9, 0.4]) == [pytest.approx(0.1)]
    kept = task.within(answer, 0.2, [0.9, 0.4], config)
    assert (kept.among, kept.abstains) == (entities[:1], True)
    logits, labels = np.arange(12.0).reshape(1, 4, 3), np.array([[-100, 2, 0, -100]])
    [(counted, truth)] = task.graded({"logits": logits}, {"labels": labels}, config)
    assert counted.tolist() == [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]] and truth.tolist() == [2, 0]


def test_a_span_is_right_as_squad_has_it_and_given_whole_or_not_at_all() -> None:
    task = Task.choose("question-answering")
    answer = Answer("The Rhine", 0, 9, 0.7)
    assert task.right(answer, {"answers": {"text": ["rhine"], "answer_start": [4]}}, {}) == [True]
    assert task.right(answer, {"answers": {"text": ["Danube"], "answer_start": [4]}}, {}) == [False]
    assert task.within(answer, 0.31, [0.7], {}).among == (answer,)
    assert task.within(answer, 0.2, [0.7], {}).abstains
    outputs = {f"{end}_logits": np.zeros((1, 3)) for end in ("start", "end")}
    batch = {"attention_mask": np.array([[1, 1, 0]]), "start_positions": np.array([1]), "end_positions": np.array([1])}
    assert [logits[0, 2] < -1e8 for logits, _ in task.graded(outputs, batch, {})] == [True, True]
    assert Task.choose({"question-answering": {"null_threshold": 1.0}}).graded(outputs, batch, {}) == []


@pytest.mark.parametrize("family", ["t5", "gpt"])
def test_a_written_text_is_as_sure_as_its_tokens_are_probable(
    family: str, tiny_t5: Path, tiny_gpt: Path, fresh: Any, tmp_path: Path
) -> None:
    import torch

    task = Task.choose({"text2text-generation": {"max_target_length": 6}})
    source = tiny_t5 if family == "t5" else tiny_gpt
    model = fresh(family, "text2text-generation" if family == "t5" else "text-generation")
    save_trained(tmp_path, model, source, task, "text2text-generation" if family == "t5" else "text-generation")
    predictor = Predictor.around(model, tmp_path)
    rows = [{"source": "the film was good", "target": "good film"}, {"source": "bad", "target": "the plot was awful"}]
    answers = predictor.answer([task.row(row) for row in rows])
    taught = [task.taught(row, answer) for row, answer in zip(rows, answers, strict=True)]
    [example] = task.examples(taught[:1], predictor.tokens, predictor.config)
    feed = {name: torch.tensor([example[name]]) for name in ("input_ids", "attention_mask", "labels")}
    with torch.inference_mode():
        loss = float(model.eval()(**feed).loss)
    assert predictor.confidences(rows, answers)[0] == [pytest.approx(math.exp(-loss), rel=1e-4)]
    claims, scores = judged(predictor, rows, answers)
    assert len(claims) == 2 and scores == []
    assert fit(predictor, rows)[0].uncertainty.rows == 2
    told = [task.taught(row, answer) for row, answer in zip(rows, answers, strict=True)]
    assert all(task.right(answer, row, predictor.config) == [True] for answer, row in zip(answers, told, strict=True))


def test_tasks_without_a_confidence_claim_nothing() -> None:
    task = Task.choose("sentence-similarity")
    assert task.confidences(None) == [] and task.nonconformity(None, {}, {}, []) == []
