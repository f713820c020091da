"""Numbers that are none stop a training at their step, with the rows that they came from; too little memory makes it take less at
once."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_from_disk

from hfrecipes.errors import NonFinite, RecipeError, UserError
from hfrecipes.stages.endurance import smaller
from hfrecipes.trainer import SKIPS, RecipeTrainer
from tests.conftest import sentiment, write_lines
from tests.faults.trainings import Prepared

STEP, MARK = 33, 1
NONE = (math.nan, math.inf, -math.inf)


@pytest.fixture(scope="module")
def prepared(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared.of("bert", tiny_bert, tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def weights(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sha256 of the weights of an undisturbed training."""
    return prepared.learn(prepared.begin(tmp_path_factory.mktemp("whole") / "run"))


def planting(what: str, number: float, times: int = 1) -> type[RecipeTrainer]:
    """A trainer in which the loss of step `STEP`, or its gradient, is a number that is none, as often as it is taken."""
    left = [times]

    class Planting(RecipeTrainer):
        seen: tuple[list[int], ...] = ()

        def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
            loss = super().compute_loss(model, inputs, *given, **named)
            if self.state.global_step == STEP - 1 and left[0] > 0:
                left[0] -= 1
                type(self).seen = (*type(self).seen, [int(row) for row in self._rows([0])])
                if what == "loss":
                    return loss * number
                weight = next(parameter for parameter in model.parameters() if parameter.requires_grad)

                def planted(gradient: torch.Tensor) -> torch.Tensor:
                    hook.remove()
                    return gradient * number

                hook = weight.register_hook(planted)
            return loss

    return Planting


@pytest.mark.parametrize("number", NONE)
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_it_stops_at_the_step_and_names_the_rows(
    what: str, number: float, prepared: Prepared, weights: str, tmp_path: Path
) -> None:
    run = prepared.begin(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", planting(what, number))
        with pytest.raises(NonFinite, match=f"the {what} is not finite at step {STEP} ") as stop:
            prepared.learn(run)
    assert stop.value.step == STEP and len(stop.value.rows) == 8
    assert [path.name for path in sorted(run.checkpoints.glob("checkpoint-*"))] == ["checkpoint-20", "checkpoint-30"]
    assert prepared.learn(run) == weights


def test_the_rows_are_those_of_the_batch_in_parts_and_later_epochs(tiny_bert: Path, tmp_path: Path) -> None:
    """One row has a word of its own, with which a loss is made to be no number: it is among the rows that are named."""
    train = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    rows = sentiment(160)
    rows[77]["text"] += " zzz"
    prepared = Prepared.of("bert", tiny_bert, tmp_path, train, rows)
    [place] = [i for i, row in enumerate(load_from_disk(str(prepared.run / "data/train"))) if MARK in row["input_ids"]]

    class Marked(RecipeTrainer):
        def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
            loss = super().compute_loss(model, inputs, *given, **named)
            mark = inputs["input_ids"] == MARK
            return loss * math.nan if mark.any() and self.state.global_step >= 20 else loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Marked)
        with pytest.raises(NonFinite) as stop:
            prepared.learn(prepared.begin(tmp_path / "run"))
    assert 20 < stop.value.step <= 40 and place in stop.value.rows and len(stop.value.rows) == 2


@pytest.mark.parametrize("number", NONE)
def test_labels_that_are_no_numbers_are_refused_with_their_row(number: float, tiny_bert: Path, tmp_path: Path) -> None:
    from hfrecipes import verbs
    from hfrecipes.config import build
    from hfrecipes.recipe import Recipe

    rows = [{"text": f"film {i}", "label": number if i == 5 else float(i)} for i in range(16)]
    for split in ("train", "validation", "test"):
        write_lines(tmp_path / f"data/{split}.jsonl", rows)
    task = {"text-classification": {"problem": "regression"}}
    recipe: Recipe = build(
        Recipe, {"recipe": "bert", "task": task, "data": {"path": str(tmp_path / "data")}, "model": str(tiny_bert)}
    )
    with pytest.raises(UserError, match=r"1 rows without a value in the split 'train' \(the first is row 5,") as stop:
        verbs.begin(recipe, tmp_path / "run")
    assert len(str(stop.value).splitlines()) == 1


@pytest.mark.parametrize("what", ["gradient", "loss"])
def test_a_recipe_may_leave_the_step_out(what: str, tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared = Prepared.of("bert", tiny_bert, tmp_path, non_finite="skip")
    run = prepared.begin(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level("WARNING", "hfrecipes"):
        patch.setattr("hfrecipes.trainer.RecipeTrainer", planting(what, math.nan))
        prepared.learn(run)
    assert [record for record in caplog.records if f"at step {STEP} " in record.getMessage()]
    from safetensors.torch import load_file

    assert all(weight.isfinite().all() for weight in load_file(run.weights).values())


def test_but_not_without_end(tiny_bert: Path, tmp_path: Path) -> None:
    class Always(RecipeTrainer):
        def compute_loss(self, *given: Any, **named: Any) -> Any:
            return super().compute_loss(*given, **named) * math.nan

    prepared = Prepared.of("bert", tiny_bert, tmp_path, non_finite="skip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Always)
        with pytest.raises(NonFinite, match=f"at step {SKIPS + 1} "):
            prepared.learn(prepared.begin(tmp_path / "run"))


def test_a_recipe_may_go_back_with_a_smaller_rate(tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared = Prepared.of("bert", tiny_bert, tmp_path, non_finite="rewind")
    run, rates = prepared.begin(tmp_path / "run"), []
    planted = planting("loss", math.nan, times=2)

    class Watched(planted):  # type: ignore[valid-type,misc]
        def create_optimizer(self, *given: Any) -> Any:
            if self.optimizer is not None and "step" not in vars(self.optimizer):
                self.optimizer.step = partial(self.noted, self.optimizer.step)
            return super().create_optimizer(*given)

        def noted(self, step: Any, *given: Any, **named: Any) -> Any:
            rates.append((self.state.global_step, self.optimizer.param_groups[0]["lr"]))
            return step(*given, **named)

    with pytest.MonkeyPatch.context() as patch, caplog.at_level("WARNING", "hfrecipes"):
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Watched)
        prepared.learn(run)
    said = [found for record in caplog.records if (found := re.search(r"with ([\d.]+) of the learning", record.getMessage()))]
    assert [match[1] for match in said] == ["0.5", "0.25"]
    thirties = [rate for step, rate in rates if step == 30]
    assert thirties[1] == pytest.approx(thirties[0] / 2) and thirties[2] == pytest.approx(thirties[0] / 4)
    assert not run.checkpoints.exists()


def test_what_does_not_fit_is_halved_and_gives_the_same(
    tiny_bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared = Prepared.of("bert", tiny_bert, tmp_path)
    sizes = []

    class Short(RecipeTrainer):
        def training_step(self, model: Any, inputs: Any, *given: Any) -> Any:
            rows = len(inputs["labels"])
            sizes.append(rows)
            if rows > 2 and self.state.global_step >= 25:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().training_step(model, inputs, *given)

    run = prepared.begin(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level("WARNING", "hfrecipes"):
        patch.setattr("hfrecipes.trainer.RecipeTrainer", Short)
        prepared.learn(run)
    said = [record.getMessage() for record in caplog.records if "more memory" in record.getMessage()]
    assert [line.partition("going on with ")[2] for line in said] == [
        "gradient_accumulation_steps=2, per_device_train_batch_size=4",
        "gradient_accumulation_steps=4, per_device_train_batch_size=2",
    ]
    assert sizes.count(2) == 40 * 4 and sizes.count(8) == 26


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (
            {"per_device_train_batch_size": 1},
            "a step of one row needs more memory than there is. Write `activation_checkpointing",
        ),
        ({"per_device_train_batch_size": 5}, "Write an even per_device_train_batch_size"),
    ],
)
def test_what_cannot_be_halved_is_said(train: dict[str, Any], said: str, prepared: Prepared) -> None:
    from dataclasses import replace

    with pytest.raises(RecipeError, match=said):
        smaller(replace(prepared.recipe, train=train))
