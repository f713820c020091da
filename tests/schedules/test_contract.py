"""What every schedule must do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from hfrecipes.schedules.slanted_triangular import SlantedTriangular
from hfrecipes.trainer import RecipeTrainer
from tests.contracts import batch, classifier, every, make

STEPS = 100
PEAKS = (0.4, 0.1)


def optimizer() -> torch.optim.Optimizer:
    """Two groups, of different learning rates."""
    return torch.optim.AdamW([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": peak} for peak in PEAKS])


def rates(built: Any, steps: int) -> list[list[float]]:
    """The learning rates of both groups before each of the next steps."""
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in built.optimizer.param_groups])
        built.optimizer.step()
        built.step()
    return found


@pytest.mark.parametrize("name", every("schedules"))
def test_a_schedule_rises_once_to_the_learning_rate_and_falls_below_where_it_began(name: str) -> None:
    found = rates(make("schedules", name).build(optimizer(), STEPS), STEPS)
    first = [pair[0] for pair in found]
    top = first.index(max(first))
    assert max(first) == pytest.approx(PEAKS[0])
    assert 0 < top < STEPS / 2
    assert first[:top] == sorted(first[:top])
    assert first[top:] == sorted(first[top:], reverse=True)
    assert first[-1] < PEAKS[0] / 20
    assert all(a * PEAKS[1] == pytest.approx(b * PEAKS[0]) for a, b in found), "the groups keep their ratio"


@pytest.mark.parametrize("name", every("schedules"))
def test_a_schedule_goes_on_from_its_state(name: str) -> None:
    whole = rates(make("schedules", name).build(optimizer(), STEPS), STEPS)
    half = make("schedules", name).build(optimizer(), STEPS)
    rates(half, STEPS // 2)
    again = make("schedules", name).build(optimizer(), STEPS)
    again.optimizer.load_state_dict(half.optimizer.state_dict())
    again.load_state_dict(half.state_dict())
    assert rates(again, STEPS // 2) == whole[STEPS // 2 :]


@pytest.mark.parametrize("name", every("schedules"))
@pytest.mark.parametrize("steps", [1, 2])
def test_a_schedule_of_very_few_steps_has_rates(name: str, steps: int) -> None:
    assert all(0 <= rate <= PEAKS[0] for rate, _ in rates(make("schedules", name).build(optimizer(), steps), steps))


def test_slanted_triangles_are_equation_3_of_ulmfit() -> None:
    part = SlantedTriangular(cut_frac=0.1, ratio=32)
    assert part.factor(0, 1000) == pytest.approx(1 / 32)
    assert part.factor(50, 1000) == pytest.approx((1 + 0.5 * 31) / 32)
    assert part.factor(100, 1000) == 1.0
    # p = 1 - (t - cut) / (cut * (1 / cut_frac - 1)) of the paper, at t = 400
    assert part.factor(400, 1000) == pytest.approx((1 + (1 - 300 / (100 * 9)) * 31) / 32)


def test_one_cycle_moves_the_momentum_against_the_rate() -> None:
    built = make("schedules", "one_cycle").build(optimizer(), STEPS)
    pairs = []
    for _ in range(STEPS):
        pairs.append((built.optimizer.param_groups[0]["lr"], built.optimizer.param_groups[0]["betas"][0]))
        built.optimizer.step()
        built.step()
    assert min(pairs)[1] > max(pairs)[1]


def test_the_trainer_takes_the_schedule_with_the_steps_it_counts(tiny_bert: Path, tmp_path: Path) -> None:
    model = classifier(tiny_bert)
    rows = [{name: tensor[i] for name, tensor in batch().items()} for i in range(4)]
    trainer = RecipeTrainer(
        lambda model, inputs: (model(**inputs).loss, None),
        make("schedules", "slanted_triangular"),
        model=model,
        args=TrainingArguments(str(tmp_path), num_train_epochs=5, per_device_train_batch_size=4, learning_rate=1e-3, use_cpu=True,
                               save_strategy="no", logging_steps=1, report_to="none", disable_tqdm=True),
        train_dataset=rows,  # type: ignore[arg-type]
    )  # fmt: skip
    trainer.train()
    logged = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    part = SlantedTriangular()
    assert logged == pytest.approx([1e-3 * part.factor(step, 5) for step in range(5)])
