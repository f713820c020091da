"""Few-shot objectives against their formulas in NumPy, and gradients of gradients against finite differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hfrecipes.episodes import Episodes
from hfrecipes.errors import RecipeError
from hfrecipes.family import Family
from hfrecipes.objectives import Training
from hfrecipes.objectives._adaptation import HEAD, adapted, start, trained
from hfrecipes.objectives._episode import seen, ways
from hfrecipes.objectives.anil import Anil
from hfrecipes.objectives.contrastive import Contrastive
from hfrecipes.objectives.maml import Maml
from hfrecipes.objectives.matching import Matching
from hfrecipes.objectives.prototypes import Prototypes
from hfrecipes.objectives.reptile import Reptile
from hfrecipes.tasks.text_classification import TextClassification
from tests.contracts import batch, classifier, pooled

EPISODES = Episodes(ways=2, shots=2, queries=2)
RANDOM = np.random.default_rng(0)


def unit(*shape: int) -> np.ndarray:
    """Vectors of unit length."""
    found = RANDOM.normal(size=shape)
    return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True)))


def episode(model: Any, **options: Any) -> Training:
    """A training of a model over episodes."""
    return Training(model, Family("bert", "encoder"), TextClassification(), episodes=EPISODES, **options)


def rows() -> dict[str, torch.Tensor]:
    """An episode of two ways: four rows of support, four queries."""
    found = batch(8)
    return {**found, "labels": torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])}


def test_prototypes_are_nearest_means() -> None:
    support, query = unit(3, 2, 5), unit(4, 5)
    means = support.mean(axis=1)
    wanted = np.array([[-7.0 * sum((q[i] - c[i]) ** 2 for i in range(5)) for c in means] for q in query])
    np.testing.assert_allclose(Prototypes(scale=7.0).logits(torch.tensor(support), torch.tensor(query)).numpy(), wanted)


def test_matching_sums_the_attention_to_the_examples_of_a_class() -> None:
    support, query = unit(3, 2, 5), unit(4, 5)
    attention = np.exp(log_softmax(7.0 * query @ support.reshape(6, 5).T))
    wanted = np.array([[row[2 * way] + row[2 * way + 1] for way in range(3)] for row in attention])
    found = Matching(scale=7.0).logits(torch.tensor(support), torch.tensor(query)).exp().numpy()
    np.testing.assert_allclose(found, wanted)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_the_contrastive_loss_is_that_of_the_paper() -> None:
    vectors, labels = unit(6, 5), [0, 1, 0, 1, 1, 2]
    losses = []
    for i in range(6):
        partners = [p for p in range(6) if p != i and labels[p] == labels[i]]
        below = np.log(sum(np.exp(vectors[i] @ vectors[a] / 0.3) for a in range(6) if a != i))
        losses += [-sum(vectors[i] @ vectors[p] / 0.3 - below for p in partners) / len(partners)] if partners else []
    found = Contrastive(temperature=0.3).pairs(torch.tensor(vectors, dtype=torch.float32), torch.tensor(labels))
    assert len(losses) == 5
    assert float(found) == pytest.approx(np.mean(losses), abs=1e-6)
    assert float(Contrastive().pairs(torch.tensor(vectors[:2]), torch.tensor([0, 1]))) == 0.0


def test_a_batch_is_a_support_class_by_class_and_its_queries() -> None:
    found = seen(torch.arange(8.0)[:, None], EPISODES)
    assert found.support[:, :, 0].tolist() == [[0, 1], [2, 3]]
    assert (found.query[:, 0].tolist(), found.truth.tolist()) == ([4, 5, 6, 7], [0, 0, 1, 1])


def test_a_batch_read_in_parts_is_the_batch(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hfrecipes.objectives import _episode

    model, whole = pooled(tiny_bert).eval(), rows()
    monkeypatch.setattr(_episode, "PART", 3)
    found, wanted = _episode.passes(model, whole), model(**_episode.inputs(whole))
    torch.testing.assert_close(found.embeddings, wanted.embeddings)
    torch.testing.assert_close(found.logits, wanted.logits)


def test_before_the_first_step_a_head_answers_as_the_nearest_mean() -> None:
    support, query = torch.tensor(unit(3, 2, 5)), torch.tensor(unit(4, 5))
    weight, bias = (start(support, 7.0)[name] for name in HEAD)
    mine = (query @ weight.T + bias).log_softmax(dim=-1)
    torch.testing.assert_close(mine, Prototypes(scale=7.0).logits(support, query).log_softmax(dim=-1))


def query_loss(model: Any, loss: Any, whole: dict[str, torch.Tensor]) -> float:
    """The loss as a number."""
    return float(loss(model, whole)[0].detach())


@pytest.mark.parametrize("second_order", [True, False])
def test_the_gradient_of_maml_equals_finite_differences_where_it_is_of_second_order(second_order: bool, tiny_bert: Path) -> None:
    model, whole = pooled(tiny_bert).double().train(), rows()
    objective = Maml(steps=2, rate=0.5, second_order=second_order)
    loss = objective.bind(episode(model))
    loss(model, whole)[0].backward()
    apart, largest = 0.0, 0.0
    watched = ["bert.encoder.layer.0.attention.self.query.weight", "bert.encoder.layer.1.output.dense.weight"]
    named = dict(model.named_parameters())
    for name in watched:
        weight, step = named[name], 1e-5
        for place in [(0, 0), (3, 7), (20, 11)]:
            with torch.no_grad():
                before = float(weight[place])
                weight[place] = before + step
            high = query_loss(model, loss, whole)
            with torch.no_grad():
                weight[place] = before - step
            low = query_loss(model, loss, whole)
            with torch.no_grad():
                weight[place] = before
            wanted = (high - low) / (2 * step)
            apart = max(apart, abs(float(weight.grad[place]) - wanted))
            largest = max(largest, abs(wanted))
    assert largest > 0
    assert (apart < 1e-3 * largest) is second_order


def test_what_cannot_be_differentiated_twice_is_named(tiny_bert: Path) -> None:
    model = pooled(tiny_bert).train()
    loss = Maml(steps=1).bind(episode(model))
    assert model.config._attn_implementation == "eager"
    model.set_attn_implementation("sdpa")
    with pytest.raises(RecipeError, match=r"attention\w* cannot be differentiated twice\. Write `second_order: false`"):
        loss(model, rows())


def test_maml_leaves_the_model_as_it_is_and_adapting_helps(tiny_bert: Path) -> None:
    model, whole = pooled(tiny_bert).eval(), rows()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    losses = []
    whole = {name: torch.cat([each[:4], each[:4]]) for name, each in whole.items()}  # what was learned is asked
    for steps in (1, 8):
        how = {"steps": steps, "rate": 0.05, "second_order": False}
        logits, _ = adapted(model, trained(model), whole, EPISODES, 1.0, **how)
        losses.append(float(torch.nn.functional.cross_entropy(logits, ways(EPISODES)).detach()))
    assert losses[1] < losses[0]
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())


def test_reptile_s_gradient_is_the_way_back_from_where_descent_ends(tiny_bert: Path) -> None:
    model, whole = pooled(tiny_bert).double().train(), rows()
    labels = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])
    Reptile(steps=2, rate=0.05, scale=3.0).bind(episode(model))(model, whole)[0].backward()
    copy = pooled(tiny_bert).double().train()
    read = {name: each for name, each in whole.items() if name != "labels"}
    with torch.no_grad():
        means = copy(**read).embeddings[:4].reshape(2, 2, -1).mean(dim=1)
    head = torch.nn.Linear(means.shape[-1], 2).double()
    head.weight.data, head.bias.data = 6.0 * means, -3.0 * means.square().sum(dim=-1)
    plain = torch.optim.SGD([*copy.parameters(), *head.parameters()], lr=0.05)
    for _ in range(2):
        plain.zero_grad()
        torch.nn.functional.cross_entropy(head(copy(**read).embeddings), labels).backward()
        plain.step()
    after = dict(copy.named_parameters())
    moved = 0
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, (weight - after[name]).detach(), atol=1e-6, rtol=1e-4)
        moved += bool(weight.grad.abs().sum() > 0)
    assert moved > 20


def test_anil_adapts_the_head_alone(tiny_bert: Path) -> None:
    support, query = torch.tensor(unit(2, 2, 5)), torch.tensor(unit(4, 5))
    labels, head = torch.tensor([0, 0, 1, 1]), torch.nn.Linear(5, 2).double()
    head.weight.data, head.bias.data = 6.0 * support.mean(dim=1), -3.0 * support.mean(dim=1).square().sum(dim=-1)
    plain = torch.optim.SGD(head.parameters(), lr=0.5)
    for _ in range(3):
        plain.zero_grad()
        torch.nn.functional.cross_entropy(head(support.flatten(0, 1)), labels).backward()
        plain.step()
    torch.testing.assert_close(Anil(steps=3, rate=0.5, scale=3.0).logits(support, query), head(query))


@pytest.mark.parametrize("name", ["prototypes", "matching", "maml", "anil", "reptile", "contrastive"])
def test_a_head_without_embeddings_is_refused(name: str, tiny_bert: Path) -> None:
    from hfrecipes.objectives import Objective

    with pytest.raises(RecipeError, match="compares embeddings, and this head has none"):
        Objective.choose(name).bind(episode(classifier(tiny_bert)))
