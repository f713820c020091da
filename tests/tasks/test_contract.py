"""What every task must do on every family that can do it: train, save, reload, export, and answer the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Predictor, Report, verbs
from hfrecipes.config import build
from hfrecipes.part import names
from hfrecipes.recipe import Recipe
from hfrecipes.tasks import Task
from hfrecipes.tasks._source_target import SourceTarget
from tests.conftest import sentiment, write_lines

FAMILIES = {"bert": "encoder", "gpt": "decoder", "t5": "encoder-decoder"}
ABLE = [(family, task) for family, kind in FAMILIES.items() for task in names("tasks") if kind in Task.find(task).heads]


def rows_of(task: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows that a tiny model can learn something from, in the columns of a task."""
    rows: list[dict[str, Any]] = []
    for row in sentiment(count, start):
        words = row["text"].split()
        if task == "text-classification":
            rows.append(row)
        elif task == "token-classification":
            rows.append(
                {
                    "tokens": words,
                    "tags": [
                        "O",
                        "B-thing",
                        *("B-view" if w in row["text"][9:] and i == 3 else "O" for i, w in enumerate(words[2:], 2)),
                    ],
                }
            )
        elif task in ("question-answering", "generative-question-answering"):
            at = row["text"].index(words[3])
            rows.append({"question": "film was", "context": row["text"], "answers": {"text": [words[3]], "answer_start": [at]}})
        elif task == "sentence-similarity":
            rows.append(
                {
                    "text": row["text"],
                    "text_pair": f"the film was {'good' if row['label'] == 'positive' else 'bad'}",
                    "score": float(len(rows) % 3),
                }
            )
        elif task in ("fill-mask", "text-generation", "span-corruption"):
            rows.append({"text": row["text"]})
        else:
            rows.append({"source": row["text"], "target": words[3]})
    return rows


ASK = {
    "text-classification": ["the film was good", "the plot was awful and the scene dull", "film"],
    "token-classification": ["the film was good", "the plot was awful my new film", "film"],
    "question-answering": [("film was", "the film was good"), ("film was", "the film was dull my new card bank"), ("was", "bad")],
    "generative-question-answering": [
        ("film was", "the film was good"),
        ("film was", "the film was dull my new card"),
        ("was", "bad"),
    ],
    "sentence-similarity": [("the film was good", "great"), ("the plot was awful my new film", "bad"), "film"],
    "fill-mask": ["the film was [MASK]", "the plot [MASK] awful my new film", "[MASK]"],
    "span-corruption": ["the film was <mask>", "the <mask> was awful my new <mask>", "<mask>"],
    "text-generation": ["the film was", "the plot was awful my new", "film"],
    "summarization": ["the film was good", "the film was awful my new card", "film"],
    "translation": ["the film was good", "the film was awful my new card", "film"],
    "text2text-generation": ["the film was good", "the film was awful my new card", "film"],
}


def test_the_table_of_families_and_tasks_is_whole() -> None:
    assert len(ABLE) == 5 + 6 + 6
    assert set(ASK) == set(names("tasks"))


@pytest.mark.parametrize(("family", "task"), ABLE)
def test_a_task_trains_exports_and_answers_the_same_everywhere(
    family: str, task: str, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path
) -> None:
    write_lines(tmp_path / "data/train.jsonl", rows_of(task, 64))
    write_lines(tmp_path / "data/test.jsonl", rows_of(task, 16, start=64))
    model = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]
    layers = [1, 1] if family == "t5" else 1  # a task does not see them, and graphs of one take three quarters of the time
    epochs = 4 if task == "fill-mask" else 2  # after two its likeliest words are still as likely as others, and int8 finds others
    options = {"max_length": 48, "max_target_length": 4} if issubclass(Task.find(task), SourceTarget) else {"max_length": 48}
    if Task.find(task).generates:
        options["generation"] = {"max_new_tokens": 4, "do_sample": False}
    recipe = build(
        Recipe,
        {
            "recipe": family,
            "task": {task: options},
            "data": {"path": str(tmp_path / "data")},
            "model": {"path": str(model), "layers": layers},
            "train": {"learning_rate": 5e-3, "num_train_epochs": epochs, "per_device_train_batch_size": 8, "bf16": False},
            "export": ["cpu"],
            "check": [],
        },
    )
    report = verbs.run(recipe, tmp_path / "run")
    assert [c.name for c in report.frontier] == ["pytorch", "cpu/fp32", "cpu/int8"]
    figures = {c["name"]: c for c in Report.load(tmp_path / "run").values["candidates"]}
    assert figures["cpu/fp32"]["agreement"] == dict.fromkeys(figures["cpu/fp32"]["agreement"], 1.0)
    answers = {}
    for graph in ("pytorch", "fp32"):
        predictor = Predictor.open(tmp_path / "run", graph)
        answers[graph] = [predictor.task.prediction(a, predictor.config) for a in predictor(ASK[task])]
        alone = [predictor.task.prediction(predictor([text])[0], predictor.config) for text in ASK[task]]
        assert answers[graph] == pytest.approx(alone, abs=1e-5) if isinstance(alone[0], float) else answers[graph] == alone
    same = (
        answers["fp32"] == pytest.approx(answers["pytorch"], abs=1e-5)
        if isinstance(alone[0], float)
        else answers["fp32"] == answers["pytorch"]
    )
    assert same
