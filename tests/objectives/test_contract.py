"""What every objective must do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes.episodes import Episodes
from hfrecipes.family import Family
from hfrecipes.objectives import LossFn, Training
from hfrecipes.part import find
from hfrecipes.tasks.text_classification import TextClassification
from tests.contracts import batch, classifier, every, make, pooled


@pytest.fixture
def loss_of(tiny_bert: Path, tmp_path: Path) -> Any:
    """An objective's loss function for a model; where it needs a teacher, a model with the same head."""

    def bound(name: str, model: Any) -> LossFn:
        teacher = classifier(tiny_bert)
        teacher.classifier.weight.data.mul_(10)
        teacher.save_pretrained(tmp_path / "teacher")
        options = {"distill": {"teacher": str(tmp_path / "teacher")}}
        training = Training(model, Family("bert", "encoder"), TextClassification(), episodes=Episodes(2, 1, 1))
        made: LossFn = make("objectives", name, options).bind(training)
        return made

    return bound


@pytest.mark.parametrize("name", every("objectives"))
def test_the_loss_is_one_finite_number_and_its_gradient_reaches_the_model(name: str, tiny_bert: Path, loss_of: Any) -> None:
    model = (pooled if find("objectives", name).head else classifier)(tiny_bert).train()
    loss, _ = loss_of(name, model)(model, batch())
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    assert all(block.output.dense.weight.grad.abs().sum() > 0 for block in model.bert.encoder.layer)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [name for name in every("objectives") if not find("objectives", name).by_batch])
def test_the_loss_is_the_mean_over_the_rows_of_a_batch(name: str, training: bool, tiny_bert: Path, loss_of: Any) -> None:
    model = classifier(tiny_bert).train(training)
    loss = loss_of(name, model)
    whole = batch(6)
    with torch.no_grad():
        each = [loss(model, {key: tensor[i : i + 1] for key, tensor in whole.items()})[0] for i in range(6)]
        together = loss(model, whole)[0]
    assert len(each) == 6
    torch.testing.assert_close(torch.stack(each).mean(), together, atol=1e-6, rtol=0)
