"""What objectives over episodes share: how a batch is one, distances, and the head that a trained model answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from hfrecipes.errors import RecipeError
from hfrecipes.heads._layers import Prototypes
from hfrecipes.pooling import pooled_head

if TYPE_CHECKING:
    from hfrecipes.episodes import Episodes
    from hfrecipes.objectives import Training

ROWS = 64
"""Rows that are read at once for the head."""


def asked(training: Training, name: str) -> Episodes:
    """The episodes of a training. Raises RecipeError where the recipe has none, or a head that says no embeddings."""
    check_head(training, name)
    if training.episodes is None:
        raise RecipeError(f"objective.{name}", "learns from episodes", "Write `episodes: {ways: 5, shots: 1, queries: 15}`")
    return training.episodes


def check_head(training: Training, name: str) -> None:
    """Refuse a model that says no embeddings."""
    if not any(pooled_head(module) for module in training.model.modules()):
        raise RecipeError(
            f"objective.{name}", "compares embeddings, and this head has none", "Leave `head` out, or `head: prototype`"
        )


@dataclass(frozen=True)
class Seen:
    """One episode as a model sees it: embeddings of the support (ways, shots, units) and of the queries (ways * queries, units),
    and of each query the number of its way."""

    support: Tensor
    query: Tensor
    truth: Tensor


def seen(embeddings: Tensor, episodes: Episodes) -> Seen:
    """The embeddings of a batch that is an episode: the support class by class, then the queries class by class."""
    count = episodes.ways * episodes.shots
    support = embeddings[:count].reshape(episodes.ways, episodes.shots, -1)
    truth = torch.arange(episodes.ways, device=embeddings.device).repeat_interleave(episodes.queries)
    return Seen(support, embeddings[count:], truth)


def inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What a model that classifies reads of a batch."""
    return {name: tensor for name, tensor in batch.items() if name != "labels"}


def distances(rows: Tensor, points: Tensor) -> Tensor:
    """Squared distances of rows (n, units) to points (m, units), of shape (n, m)."""
    return (rows[:, None] - points[None]).square().sum(dim=-1)


class ClassMeans(TrainerCallback):
    """At the end of a training the head's point for each class becomes the mean of the embeddings of its rows, those of the
    classes that chose the best epoch among them."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer, once it has gone back to the best epoch."""
        found = [layer for layer in self.training.model.modules() if isinstance(layer, Prototypes)]
        splits = [split.single for split in (self.training.rows, self.training.held) if split is not None]
        if found and splits:
            set_means(self.training, found[0], splits)


@torch.no_grad()
def set_means(training: Training, layer: Prototypes, splits: list[Any]) -> None:
    """Put the mean embedding of the rows of each class into the head; a class without rows keeps what it has."""
    model, collate = training.model, training.collate
    assert collate is not None
    was = model.training
    model.eval()
    sums = torch.zeros_like(layer.weight, dtype=torch.float32)
    counts = torch.zeros(len(sums), device=sums.device)
    for rows in splits:
        for i in range(0, len(rows), ROWS):
            batch = {
                name: tensor.to(sums.device)
                for name, tensor in collate([rows[j] for j in range(i, min(i + ROWS, len(rows)))]).items()
            }
            embeddings = model(**inputs(batch)).embeddings.float()
            sums.index_add_(0, batch["labels"], embeddings)
            counts.index_add_(0, batch["labels"], torch.ones(len(embeddings), device=sums.device))
    there = counts > 0
    layer.weight[there] = (sums[there] / counts[there, None]).to(layer.weight.dtype)
    model.train(was)
