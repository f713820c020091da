"""supervised: the loss of the model's own head."""

from __future__ import annotations

from pathlib import Path

import torch

from hfrecipes.family import Family
from hfrecipes.objectives.supervised import Supervised
from hfrecipes.tasks.text_classification import TextClassification
from tests.contracts import batch, classifier


def test_the_loss_of_classes_is_their_cross_entropy(tiny_bert: Path) -> None:
    model = classifier(tiny_bert).eval()
    loss, outputs = Supervised().bind(model, Family("bert", "encoder"), TextClassification())(model, batch())
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(outputs.logits, batch()["labels"]))
