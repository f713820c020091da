"""full: every weight is trained."""

from __future__ import annotations

from pathlib import Path

from hfrecipes.family import Family
from hfrecipes.strategies.full import Full
from tests.contracts import classifier


def test_every_weight_is_trained_also_one_that_was_frozen(tiny_bert: Path) -> None:
    model = classifier(tiny_bert)
    model.bert.embeddings.requires_grad_(False)
    trained = [weight.requires_grad for weight in Full().prepare(model, Family("bert", "encoder")).parameters()]
    assert len(trained) == 41
    assert all(trained)
