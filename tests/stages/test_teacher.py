"""data.teacher: a teacher writes the targets of the training rows once, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import load_from_disk

from hfrecipes import Predictor, verbs
from hfrecipes.config import build
from hfrecipes.errors import ModelError, RecipeError
from hfrecipes.recipe import Recipe
from hfrecipes.retraining.rows import known
from tests.conftest import write_lines
from tests.tasks.test_contract import rows_of

TRAIN = {"learning_rate": 0.02, "num_train_epochs": 2, "per_device_train_batch_size": 8, "bf16": False}


def values(family: str, task: str, folder: Path, tmp_path: Path, **data: Any) -> dict[str, Any]:
    write_lines(tmp_path / task / "train.jsonl", rows_of(task, 40))
    options = {"max_target_length": 4, "max_length": 40}
    return {
        "recipe": family,
        "task": {task: options},
        "data": {"path": str(tmp_path / task), **data},
        "model": str(folder),
        "train": TRAIN,
    }


@pytest.mark.parametrize("task", ["translation", "generative-question-answering"])
@pytest.mark.parametrize("family", ["gpt", "t5"])
def test_a_student_reads_what_its_teacher_wrote(family: str, task: str, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path) -> None:
    folder = {"gpt": tiny_gpt, "t5": tiny_t5}[family]
    teacher = verbs.fit(build(Recipe, values(family, task, folder, tmp_path)), tmp_path / "teacher")
    student = values(family, task, folder, tmp_path, teacher=str(teacher.path))
    recipe = build(Recipe, {**student, "model": {"path": str(folder), "layers": 1}})
    run = verbs.begin(recipe, tmp_path / "student")
    rows = rows_of(task, 40)
    predictor = Predictor.open(teacher.path, "pytorch")
    wrote = {str(answer) for answer in predictor.answer([predictor.task.row(row) for row in rows])}
    kept = [[i for i in ids if i >= 0] for ids in load_from_disk(str(run.data / "train"))["labels"]]
    assert {predictor.tokens.text(ids) for ids in kept} <= wrote
    own = [row.get("target") or row["answers"]["text"][0] for row in rows]  # type: ignore[index]
    held = [row.get("target") or row["answers"]["text"][0] for row in load_from_disk(str(run.data / "validation_rows"))]
    assert set(held) <= set(own), "validation rows keep their own targets"


def test_another_teacher_makes_other_rows(tiny_t5: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = values("t5", "translation", tiny_t5, tmp_path)
    teacher = verbs.fit(build(Recipe, plain), tmp_path / "teacher")
    recipe = build(Recipe, values("t5", "translation", tiny_t5, tmp_path, teacher=str(teacher.path)))
    with caplog.at_level("INFO", logger="hfrecipes"):
        verbs.begin(recipe, tmp_path / "student")
        verbs.begin(recipe, tmp_path / "student")
        assert caplog.text.count("the teacher writes the targets of 36 rows") == 1
        verbs.fit(build(Recipe, {**plain, "seed": 1}), tmp_path / "other")
        (teacher.model / "model.safetensors").write_bytes((tmp_path / "other/model/model.safetensors").read_bytes())
        verbs.begin(recipe, tmp_path / "student")
        assert caplog.text.count("the teacher writes the targets of 36 rows") == 2


def test_labelled_rows_keep_their_targets_and_the_teacher_writes_the_others(tiny_t5: Path, tmp_path: Path) -> None:
    """And retraining, which would leave the others out, is refused."""
    ignorant = {**values("t5", "translation", tiny_t5, tmp_path), "train": {**TRAIN, "learning_rate": 1e-7}}
    teacher = verbs.fit(build(Recipe, ignorant), tmp_path / "teacher")
    asked = values("t5", "translation", tiny_t5, tmp_path, teacher=str(teacher.path), labelled=10, validation_size=0.2)
    run = verbs.begin(build(Recipe, asked), tmp_path / "student")
    own = [row["target"] for row in rows_of("translation", 40)]
    predictor = Predictor.open(teacher.path, "pytorch")
    wrote = {str(answer) for answer in predictor.answer(rows_of("translation", 40))}
    assert not wrote & set(own)
    targets = [predictor.tokens.text([i for i in ids if i >= 0]) for ids in load_from_disk(str(run.data / "train"))["labels"]]
    assert [target in own for target in targets] == [True] * 8 + [False] * 30
    assert set(targets[8:]) <= wrote
    with pytest.raises(RecipeError, match=r"t5\.data\.labelled: retraining learns from labelled rows alone"):
        known(run)
    everything = {**asked, "data": {**asked["data"], "labelled": 40}}
    with pytest.raises(RecipeError, match=r"t5\.data\.labelled: leaves no row for the teacher to write\. Write less"):
        verbs.begin(build(Recipe, everything), tmp_path / "all")


def test_folds_learn_from_labelled_rows_as_they_are(tiny_t5: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    teacher = verbs.fit(build(Recipe, values("t5", "translation", tiny_t5, tmp_path)), tmp_path / "teacher")
    asked = values("t5", "translation", tiny_t5, tmp_path, teacher=str(teacher.path), labelled=10)
    with caplog.at_level("INFO", logger="hfrecipes"):
        verbs.fit(build(Recipe, {**asked, "validate": 2}), tmp_path / "student")
    assert len([line for line in caplog.messages if line.startswith("fold ")]) == 2
    assert [line for line in caplog.messages if "the teacher writes" in line] == ["the teacher writes the targets of 30 rows"]


def test_what_cannot_be_written_is_refused(tiny_t5: Path, tiny_gpt: Path, finished: Path, tmp_path: Path) -> None:
    asked = values("t5", "translation", tiny_t5, tmp_path, teacher="runs/nowhere")
    with pytest.raises(ModelError, match=r"t5\.data\.teacher: there is no folder runs/nowhere"):
        verbs.begin(build(Recipe, asked), tmp_path / "run")
    asked = values("t5", "translation", tiny_t5, tmp_path, teacher=str(finished))
    with pytest.raises(ModelError, match=r"t5\.data\.teacher: .* does text-classification\. Give one that does translation"):
        verbs.begin(build(Recipe, asked), tmp_path / "run")
    asked = {**values("gpt", "text-generation", tiny_gpt, tmp_path, teacher=str(tiny_gpt)), "task": "text-generation"}
    with pytest.raises(RecipeError, match=r"text-generation has no texts that a teacher could write\. Take `objective: distill`"):
        verbs.begin(build(Recipe, asked), tmp_path / "other")
