"""What every objective must do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hfrecipes.family import Family
from hfrecipes.tasks.text_classification import TextClassification
from tests.contracts import batch, classifier, every, make

BERT = Family("bert", "encoder")


@pytest.mark.parametrize("name", every("objectives"))
def test_the_loss_is_one_finite_number_and_its_gradient_reaches_the_model(name: str, tiny_bert: Path) -> None:
    model = classifier(tiny_bert).train()
    loss, _ = make("objectives", name).bind(model, BERT, TextClassification())(model, batch())
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    assert model.classifier.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", every("objectives"))
def test_the_loss_is_the_mean_over_the_rows_of_a_batch(name: str, tiny_bert: Path) -> None:
    model = classifier(tiny_bert).eval()
    loss_of = make("objectives", name).bind(model, BERT, TextClassification())
    whole = batch(6)
    with torch.inference_mode():
        each = [loss_of(model, {key: tensor[i : i + 1] for key, tensor in whole.items()})[0] for i in range(6)]
        together = loss_of(model, whole)[0]
    assert len(each) == 6
    torch.testing.assert_close(torch.stack(each).mean(), together, atol=1e-6, rtol=0)
