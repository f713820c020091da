"""distill in whole runs: the teacher runs once, what is stored teaches the same, and what was stopped goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hfrecipes import feature_store, verbs
from hfrecipes.config import build
from hfrecipes.errors import ModelError
from hfrecipes.objectives._lesson import PROJECTION
from hfrecipes.objectives._teacher import Teacher
from hfrecipes.recipe import Recipe
from hfrecipes.tasks import UNLABELLED
from tests.conftest import sentiment, write_lines


@pytest.fixture
def taught(values: dict[str, Any], finished: Path) -> Any:
    """The tiny recipe with one layer, taught by the finished run."""

    def made(**distill: Any) -> Recipe:
        model = {"path": values["model"], "layers": 1}
        distill = {"teacher": str(finished), "losses": ["soft_targets"], **distill}
        return build(Recipe, {**values, "model": model, "objective": {"distill": distill}, "check": ["parity"]})

    return made


def weights(run: Any) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def test_stored_answers_teach_what_a_teacher_at_every_step_does(taught: Any, tmp_path: Path, home: Path) -> None:
    stored, asked = verbs.fit(taught(), tmp_path / "stored"), verbs.fit(taught(cached=False), tmp_path / "asked")
    one, two = weights(stored), weights(asked)
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
    assert not [name for name in one if "layer.1." in name], "one layer of two"
    assert len(feature_store.sizes(home)) == 1


def test_stored_states_teach_what_those_of_a_teacher_at_every_step_do(taught: Any, tmp_path: Path, home: Path) -> None:
    losses = ["soft_targets", {"hidden_states": {"layers": [[1, 2]]}}, "embeddings"]
    stored = verbs.fit(taught(losses=losses, cached="states"), tmp_path / "stored")
    assert len(feature_store.sizes(home)) == 2
    asked = verbs.fit(taught(losses=losses), tmp_path / "asked")
    one, two = weights(stored), weights(asked)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 5e-3, "they have 11 bits"
    assert not [name for name in one if name.startswith(PROJECTION)]


def test_the_teacher_runs_once_for_all_students(taught: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    original = Teacher.answer

    def counted(self: Teacher, read: Any, **options: Any) -> Any:
        rows.append(len(read["input_ids"]))
        return original(self, read, **options)

    monkeypatch.setattr(Teacher, "answer", counted)
    verbs.fit(taught(), tmp_path / "one")
    assert sum(rows) == 76, "86 training rows, ten of them twice, in three epochs"
    verbs.fit(taught(losses=[{"soft_targets": {"temperature": 4.0}}]), tmp_path / "two")
    assert sum(rows) == 76


def test_another_teacher_in_the_same_folder_is_asked_anew(
    values: dict[str, Any], taught: Any, finished: Path, tmp_path: Path, home: Path
) -> None:
    import shutil

    copy = tmp_path / "teacher"
    shutil.copytree(finished / "model", copy)
    first = weights(verbs.fit(taught(teacher=str(copy)), tmp_path / "run"))
    before = {name: tensor.clone() for name, tensor in first.items()}
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(copy)
    model.classifier.weight.data.neg_()
    model.save_pretrained(copy)
    again = weights(verbs.fit(taught(teacher=str(copy)), tmp_path / "run"))
    assert len(feature_store.sizes(home)) == 2
    assert max(float((before[name] - again[name]).abs().max()) for name in before) > 1e-3


def test_a_training_that_was_stopped_goes_on_to_the_same_student(
    taught: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hfrecipes.trainer import RecipeTrainer

    losses = [{"soft_targets": {"end_weight": 0.1}}, {"hidden_states": {"layers": [[1, 2]]}}]
    whole = verbs.fit(taught(losses=losses), tmp_path / "whole")
    recipe = taught(losses=losses)
    step = RecipeTrainer.training_step

    def stopped(self: Any, *given: Any, **named: Any) -> Any:
        if self.state.global_step == 15:
            raise KeyboardInterrupt
        return step(self, *given, **named)

    monkeypatch.setattr(RecipeTrainer, "training_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        verbs.fit(recipe, tmp_path / "cut")
    monkeypatch.setattr(RecipeTrainer, "training_step", step)
    resumed = verbs.fit(recipe, tmp_path / "cut")
    one, two = weights(whole), weights(resumed)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) == 0


def test_texts_without_labels_are_read_where_the_teacher_answers(
    values: dict[str, Any], taught: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dataclasses import replace

    recipe = taught()
    with caplog.at_level(logging.INFO, logger="hfrecipes"):
        run = verbs.begin(replace(recipe, data=replace(recipe.data, labelled=10)), tmp_path / "run")
    assert "76 rows have no label: the teacher answers for them" in caplog.text
    from datasets import load_from_disk

    labels = list(load_from_disk(str(run.data / "train"))["labels"])
    assert sorted(labels) == [UNLABELLED] * 76 + [0] * 9 + [1] * 9
    alone = build(Recipe, {**values, "data": {**values["data"], "labelled": 10}})
    labels = list(load_from_disk(str(verbs.begin(alone, tmp_path / "alone").data / "train"))["labels"])
    assert sorted(labels) == [0] * 9 + [1] * 9


def test_a_teacher_of_another_task_or_with_other_tokens_is_refused(
    values: dict[str, Any], taught: Any, tiny_bert: Path, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"objective\.distill\.teacher: .* is not trained for text-classification: it has no"):
        verbs.fit(taught(teacher=str(tiny_bert)), tmp_path / "body")
    from tests.conftest import WORDS, make_tokenizer

    folder = tmp_path / "other"
    import shutil

    shutil.copytree(tiny_bert, folder)
    make_tokenizer([*WORDS[1:], "entirely"]).save_pretrained(folder)
    with pytest.raises(
        ModelError, match=r"reads 31 tokens, and 1 of the student's 31 are not among them\. Make the student from"
    ):
        verbs.fit(build(Recipe, {**taught().dump(), "model": str(folder)}), tmp_path / "tokens")
    rows = [{"tokens": row["text"].split(), "tags": ["O"] * len(row["text"].split())} for row in sentiment(24)]
    data = write_lines(tmp_path / "tags" / "train.jsonl", rows).parent
    tags = {**taught().dump(), "task": "token-classification", "data": str(data), "check": []}
    with pytest.raises(ModelError, match=r"does text-classification. Give one that does token-classification"):
        verbs.fit(build(Recipe, tags), tmp_path / "task")
    with pytest.raises(ModelError, match=r"objective\.distill\.teacher: there is no folder runs/nowhere"):
        verbs.fit(taught(teacher="runs/nowhere"), tmp_path / "nowhere")
