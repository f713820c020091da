"""What every strategy must do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from hfrecipes.family import Family
from tests.contracts import batch, classifier, every, logits, make

BERT = Family("bert", "encoder")


@pytest.mark.parametrize("name", every("strategies"))
def test_a_strategy_leaves_something_to_train_and_changes_only_that(name: str, tiny_bert: Path) -> None:
    model = make("strategies", name).prepare(classifier(tiny_bert), BERT)
    before = {key: (weight.detach().clone(), weight.requires_grad) for key, weight in model.named_parameters()}
    assert any(trained for _, trained in before.values())
    step = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5)
    model.train()(**batch()).loss.backward()
    step.step()
    moved = {key for key, weight in model.named_parameters() if not torch.equal(weight, before[key][0])}
    assert moved
    assert [key for key in moved if not before[key][1]] == []


@pytest.mark.parametrize("name", every("strategies"))
def test_a_finished_model_is_plain_and_answers_the_same_when_saved_and_loaded(name: str, tiny_bert: Path, tmp_path: Path) -> None:
    strategy = make("strategies", name)
    plain = classifier(tiny_bert)
    wrapped = strategy.prepare(plain, BERT)
    step = torch.optim.SGD([weight for weight in wrapped.parameters() if weight.requires_grad], lr=0.5)
    wrapped.train()(**batch()).loss.backward()
    step.step()
    trained = logits(wrapped)
    done = strategy.finish(wrapped)
    assert type(done) is type(classifier(tiny_bert))
    torch.testing.assert_close(logits(done), trained, atol=1e-5, rtol=0)
    done.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(again), trained, atol=1e-5, rtol=0)
