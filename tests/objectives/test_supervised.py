"""supervised: the loss of the model's own head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes.errors import RecipeError
from hfrecipes.family import Family
from hfrecipes.objectives import Training
from hfrecipes.objectives.supervised import Supervised
from hfrecipes.tasks.text_classification import TextClassification
from tests.conftest import Open
from tests.contracts import batch, classifier
from tests.strategies.test_contract import FAMILIES
from tests.strategies.test_contract import batch as tokens


def test_the_loss_of_classes_is_their_cross_entropy(tiny_bert: Path) -> None:
    model = classifier(tiny_bert).eval()
    loss, outputs = Supervised().bind(Training(model, Family("bert", "encoder"), TextClassification()))(model, batch())
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(outputs.logits, batch()["labels"]))


TOKENS = Family("bert", "encoder")


def change(model: Any, **options: Any) -> torch.Tensor:
    """The loss of `batch()` with options."""
    with torch.no_grad():
        loss: torch.Tensor = Supervised(**options).bind(Training(model, TOKENS, TextClassification()))(model, batch())[0]
    return loss


def test_smoothing_is_that_of_torch(tiny_bert: Path) -> None:
    model = classifier(tiny_bert).eval()
    logits = model(**{k: v for k, v in batch().items() if k != "labels"}).logits.detach()
    wanted = torch.nn.functional.cross_entropy(logits, batch()["labels"], label_smoothing=0.2)
    torch.testing.assert_close(change(model, label_smoothing=0.2), wanted)


def test_weights_by_name_and_balanced(tiny_bert: Path) -> None:
    model = classifier(tiny_bert).eval()
    model.config.id2label, model.config.label_counts = {0: "bad", 1: "good"}, [30, 10]
    logits = model(**{k: v for k, v in batch().items() if k != "labels"}).logits.detach()
    each = torch.nn.functional.cross_entropy(logits, batch()["labels"], reduction="none")
    by_name = torch.where(batch()["labels"] == 1, 3.0, 1.0)
    torch.testing.assert_close(change(model, class_weights={"good": 3.0}), (each * by_name).mean())
    balanced = torch.where(batch()["labels"] == 1, 2.0, 2 / 3)
    torch.testing.assert_close(change(model, class_weights="balanced"), (each * balanced).mean())
    with pytest.raises(RecipeError, match=r"there is no label 'fine'\. There are: bad, good"):
        change(model, class_weights={"fine": 1.0})


def test_focal_turns_down_what_is_known(tiny_bert: Path) -> None:
    model = classifier(tiny_bert).eval()
    logits = model(**{k: v for k, v in batch().items() if k != "labels"}).logits.detach()
    sure = logits.softmax(-1).gather(1, batch()["labels"][:, None])[:, 0]
    torch.testing.assert_close(change(model, focal=2.0), (-((1 - sure) ** 2) * sure.log()).mean())


def test_two_passes_differ_by_dropout_alone(tiny_bert: Path) -> None:
    model = classifier(tiny_bert)
    plain = change(model.eval())
    torch.testing.assert_close(change(model.train(), r_drop=1.0), plain)  # the tiny model has no dropout
    model.bert.embeddings.dropout.p = 0.5
    found = []
    for much in (1.0, 1e-9):
        torch.manual_seed(0)
        found.append(change(model, r_drop=much))
    assert found[0] > found[1]


@pytest.mark.parametrize(("family", "head"), [("t5", "text2text-generation"), ("gpt", "text-generation")])
def test_smoothing_of_text_leaves_out_what_is_no_label(family: str, head: str, fresh: Open) -> None:
    from hfrecipes.tasks.summarization import Summarization

    model = fresh(family, head)
    rows = tokens(head)
    rows["labels"][:, 4:] = -100
    own = model(**rows).loss
    bound = Supervised(focal=1e-12).bind(Training(model, FAMILIES[family], Summarization()))
    torch.testing.assert_close(bound(model, rows)[0], own, atol=1e-5, rtol=1e-5)


def test_a_task_with_a_loss_of_its_own_is_refused(tiny_bert: Path) -> None:
    from hfrecipes.tasks.question_answering import QuestionAnswering

    with pytest.raises(RecipeError, match="no cross-entropy over classes or tokens"):
        Supervised(focal=2.0).bind(Training(classifier(tiny_bert), TOKENS, QuestionAnswering()))
