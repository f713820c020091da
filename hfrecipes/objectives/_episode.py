"""What objectives over episodes share: how a batch is one, distances, and the head that a trained model answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from hfrecipes.errors import RecipeError
from hfrecipes.heads._layers import Prototypes
from hfrecipes.pooling import Embedded, pooled_head

if TYPE_CHECKING:
    from hfrecipes.entries import WithEntries
    from hfrecipes.episodes import Episodes
    from hfrecipes.objectives import Training

ROWS, PART = 64, 16
"""Rows that are read at once for the head, and of a batch whose rows are compared."""


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
    return Seen(support, embeddings[count:], ways(episodes, embeddings.device))


def ways(episodes: Episodes, device: Any = None) -> Tensor:
    """Of each query of an episode the number of its way."""
    return torch.arange(episodes.ways, device=device).repeat_interleave(episodes.queries)


def inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What a model that classifies reads of a batch."""
    return {name: tensor for name, tensor in batch.items() if name != "labels"}


def passes(model: Any, batch: Mapping[str, Any]) -> Embedded:
    """What a model says of all rows of a batch, read in parts of like length, as their padding would cost more than they do."""
    read = inputs(batch)
    order = read["attention_mask"].sum(dim=-1).argsort(stable=True)
    found = []
    for rows in order.split(PART):
        there = read["attention_mask"][rows].any(dim=0)
        found.append(model(**{name: tensor[rows][:, there] for name, tensor in read.items()}))
    back = order.argsort()
    logits, embeddings = (torch.cat([each[name] for each in found])[back] for name in ("logits", "embeddings"))
    return Embedded(None, logits, embeddings)


def distances(rows: Tensor, points: Tensor) -> Tensor:
    """Squared distances of rows (n, units) to points (m, units), of shape (n, m)."""
    return (rows[:, None] - points[None]).square().sum(dim=-1)


class ClassMeans(TrainerCallback):
    """The head's point for each class becomes the mean of the embeddings of its rows: where a training begins, or where it ends,
    then with the classes that chose the best epoch among them."""

    def __init__(self, training: Training, begin: bool = False, end: bool = True) -> None:
        self.training, self.begin, self.end = training, begin, end

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        if self.begin and not state.global_step:
            set_means(self.training, [self.training.rows])

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer, once it has gone back to the best epoch."""
        if self.end:
            set_means(self.training, [self.training.rows, self.training.held])


@torch.no_grad()
def set_means(training: Training, splits: Sequence[WithEntries | None]) -> None:
    """Put the mean embedding of the rows of each class into the head, where it has points; a class without rows keeps its own."""
    model, collate = training.model, training.collate
    layer = next((each for each in model.modules() if isinstance(each, Prototypes)), None)
    if layer is None or collate is None:
        return
    was = model.training
    model.eval()
    sums, counts = torch.zeros_like(layer.weight, dtype=torch.float32), torch.zeros(len(layer.weight), device=layer.weight.device)
    for rows in [split.single for split in splits if split is not None]:
        for i in range(0, len(rows), ROWS):
            read = collate([rows[j] for j in range(i, min(i + ROWS, len(rows)))])
            batch = {name: tensor.to(sums.device) for name, tensor in read.items()}
            embeddings = model(**inputs(batch)).embeddings.float()
            sums.index_add_(0, batch["labels"], embeddings)
            counts.index_add_(0, batch["labels"], torch.ones(len(embeddings), device=sums.device))
    there = counts > 0
    layer.weight[there] = (sums[there] / counts[there, None]).to(layer.weight.dtype)
    model.train(was)
