"""What objectives that compare the rows of a batch share: how a batch is an episode, how it is read, and distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hfrecipes.errors import RecipeError
from hfrecipes.pooling import Embedded, pooled_head

if TYPE_CHECKING:
    from hfrecipes.episodes import Episodes
    from hfrecipes.objectives import Training

PART = 16
"""Rows of a batch that are read at once."""


def asked(training: Training, name: str) -> Episodes:
    """The episodes of a training. Raises RecipeError where the recipe has none, or a head that says no embeddings."""
    check_head(training, name)
    if training.episodes is None:
        raise RecipeError(f"objective.{name}", "learns from episodes", "Write `episodes: {ways: 5, shots: 1, queries: 15}`")
    return training.episodes


def check_head(training: Training, name: str) -> None:
    """Refuse a model that says no embeddings."""
    if training.model.config.problem_type not in (None, "single_label_classification"):
        raise RecipeError(f"objective.{name}", "compares rows of one class each", "Take supervised")
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


def narrowed(read: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """Some rows as a model reads them, no wider than they are long."""
    some = {name: tensor[rows] for name, tensor in read.items()}
    return {name: tensor[:, some["attention_mask"].any(dim=0)] for name, tensor in some.items()}


def in_parts(say: Callable[[dict[str, Any]], Any], read: Mapping[str, Any], *names: str) -> list[Tensor]:
    """What `say` says of all rows by these names, asked in parts of like length: padding would cost more than they do."""
    order = read["attention_mask"].sum(dim=-1).argsort(stable=True)
    found = [say(narrowed(read, rows)) for rows in order.split(PART)]
    back = order.argsort()
    return [torch.cat([each[name] for each in found])[back] for name in names]


def passes(model: Any, batch: Mapping[str, Any], head_learns: bool = False) -> Embedded:
    """What a model says of all rows of a batch. Raises RecipeError where nothing is to be learned, unless the head learns."""
    logits, embeddings = in_parts(lambda part: model(**part), inputs(batch), "logits", "embeddings")
    if model.training and torch.is_grad_enabled() and not (embeddings.requires_grad or head_learns):
        raise RecipeError("strategy", "leaves the embeddings as they are, so there is nothing to learn", "Take full, or another")
    return Embedded(None, logits, embeddings)


def distances(rows: Tensor, points: Tensor) -> Tensor:
    """Squared distances of rows (n, units) to points (m, units), of shape (n, m)."""
    return (rows[:, None] - points[None]).square().sum(dim=-1)
