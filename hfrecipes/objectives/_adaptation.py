"""Adaptation: what MAML, ANIL and Reptile do inside of an episode, as functions of weights that are not a model's own.

The head of an episode is linear and starts from the means of its support: w = 2 s c, b = -s |c|², which answers as the nearest
mean does (Proto-MAML, Triantafillou et al. 2020, arXiv:1903.03096, section 3.2). So a model learns to adapt to any number of
ways, and before the first step it is a prototypical network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy, linear

from hfrecipes.errors import RecipeError
from hfrecipes.objectives._episode import in_parts, inputs, narrowed

if TYPE_CHECKING:
    from hfrecipes.episodes import Episodes

Weights = dict[str, Tensor]
HEAD = ("episode_weight", "episode_bias")
"""The names of an episode's head among adapted weights."""
ONCE = re.compile(r"derivative for (\S+) is not implemented|once_differentiable")


def start(support: Tensor, scale: float) -> Weights:
    """The head of an episode from its support of shape (ways, shots, units)."""
    means = support.mean(dim=1)
    return dict(zip(HEAD, (2 * scale * means, -scale * means.square().sum(dim=-1)), strict=True))


def halves(batch: Mapping[str, Any], episodes: Episodes) -> tuple[dict[str, Any], dict[str, Any], Tensor, Tensor]:
    """The support and the queries of a batch as the model reads them, no wider than they are long, and the ways of their rows."""
    count, read = episodes.ways * episodes.shots, inputs(batch)
    ways = torch.arange(episodes.ways, device=batch["labels"].device)
    first, second = (narrowed(read, rows) for rows in (slice(None, count), slice(count, None)))
    return first, second, ways.repeat_interleave(episodes.shots), ways.repeat_interleave(episodes.queries)


def descend(loss: Callable[[Weights], Tensor], weights: Weights, steps: int, rate: float, second_order: bool) -> Weights:
    """Weights after steps of gradient descent. With `second_order` they are a function of those before whose gradient goes
    through every step; without, the steps count as constants."""
    with torch.enable_grad():
        for _ in range(steps):
            names = [name for name, weight in weights.items() if weight.requires_grad]
            found = torch.autograd.grad(
                loss(weights), [weights[name] for name in names], create_graph=second_order, allow_unused=True
            )
            moved = {n: weights[n] - rate * g for n, g in zip(names, found, strict=True) if g is not None}
            weights = {**weights, **moved}
    return weights


def trained(model: Any) -> Weights:
    """The weights of a model that are trained, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def embed(model: Any, weights: Mapping[str, Tensor], read: Mapping[str, Any]) -> Any:
    """The outputs of a model with other weights."""
    return functional_call(model, {n: w for n, w in weights.items() if n not in HEAD}, args=(), kwargs=dict(read))


def embeddings(model: Any, weights: Mapping[str, Tensor], read: Mapping[str, Any]) -> Tensor:
    """The embeddings that a model with other weights has for rows."""
    [found] = in_parts(lambda part: embed(model, weights, part), read, "embeddings")
    return found


def answer(weights: Mapping[str, Tensor], embeddings: Tensor) -> Tensor:
    """The logits of an episode's head."""
    return linear(embeddings, *(weights[name] for name in HEAD))


def adapted(
    model: Any, weights: Weights, batch: Mapping[str, Any], episodes: Episodes, scale: float, **how: Any
) -> tuple[Tensor, Any]:
    """The logits of the queries of an episode after all of `weights`, and a head, have adapted to its support; and the model's
    outputs for them. `how` says the `steps`, the `rate` and whether the gradient is of `second_order`."""
    support, query, told, _ = halves(batch, episodes)
    with torch.enable_grad():
        begin = start(embeddings(model, weights, support).reshape(episodes.ways, episodes.shots, -1), scale)
        weights = {name: weight.view_as(weight) for name, weight in weights.items()}  # else the head would follow them in a step

    def loss(now: Weights) -> Tensor:
        return cross_entropy(answer(now, embeddings(model, now, support)), told)

    after = descend(loss, {**weights, **begin}, **how)
    outputs = embed(model, after, query)
    return answer(after, outputs.embeddings), outputs


def adapted_head(support: Tensor, query: Tensor, scale: float, **how: Any) -> Tensor:
    """The logits of queries (n, units) after a head alone has adapted to a support of shape (ways, shots, units)."""
    told = torch.arange(len(support), device=support.device).repeat_interleave(support.shape[1])
    with torch.enable_grad():
        begin = {name: weight.requires_grad_() for name, weight in start(support, scale).items()}
    after = descend(lambda now: cross_entropy(answer(now, support.flatten(0, 1)), told), begin, **how)
    return answer(after, query)


@contextmanager
def named_once(where: str) -> Iterator[None]:
    """Name the operation that a gradient of a gradient failed at. Raises RecipeError."""
    try:
        yield
    except RuntimeError as error:
        if not (found := ONCE.search(str(error))):
            raise
        operation = (found[1] or "an operation that its author marked so").removeprefix("aten::").removesuffix("_backward")
        raise RecipeError(where, f"{operation} cannot be differentiated twice", "Write `second_order: false`") from error


def towards(
    model: Any, weights: Weights, batch: Mapping[str, Any], episodes: Episodes, scale: float, **how: Any
) -> tuple[Tensor, Any]:
    """The loss of a whole episode, whose gradient is not its own but the weights less those that descent on it leads to; and the
    outputs for it."""
    read = inputs(batch)
    *_, told, truth = halves(batch, episodes)
    labels = torch.cat([told, truth])
    with torch.no_grad():
        outputs = embed(model, weights, read)
        begin = start(outputs.embeddings[: len(told)].reshape(episodes.ways, episodes.shots, -1), scale)

    def loss(now: Weights) -> Tensor:
        return cross_entropy(answer(now, embeddings(model, now, read)), labels)

    own = {name: weight.requires_grad_() for name, weight in begin.items()}
    after = descend(loss, {**{n: w.detach().requires_grad_() for n, w in weights.items()}, **own}, **how)
    with torch.no_grad():
        mean = loss(after)
    pull = sum(((weight * (weight - after[name]).detach()).sum() for name, weight in weights.items()), mean.new_zeros(()))
    return mean + pull - pull.detach(), outputs
