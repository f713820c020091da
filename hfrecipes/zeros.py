"""Zeros: weights of linear layers that are set to zero, and stay so in any further training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.errors import ModelError
from hfrecipes.family import linear_layers

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Sparsity = Annotated[float, Field(gt=0, lt=1)]
MANY = 0.01
"""The share of zeros from which on those of a matrix are meant to be there."""


def matrices(model: Module) -> dict[str, Tensor]:
    """The weights of the linear layers inside of the blocks, by name."""
    return {f"{name}.weight": model.get_submodule(name).weight for name in linear_layers(model)}  # type: ignore[misc]


def smallest(scores: Mapping[str, Tensor], share: float, whole: bool) -> dict[str, Tensor]:
    """Masks that are false for the share of each matrix, or of all of them as a `whole`, that has the smallest scores. Raises
    ModelError for a model without any."""
    import torch

    def bound(values: Tensor) -> Tensor:
        count = int(share * values.numel())
        return values.flatten().kthvalue(count).values if count else values.min() - 1

    if not scores:
        raise ModelError("model", "has no blocks whose weights could be left out", "Take a model that has blocks")
    if whole:
        common = bound(torch.cat([each.flatten() for each in scores.values()]))
        return {name: each > common for name, each in scores.items()}
    return {name: each > bound(each) for name, each in scores.items()}


def shares(model: Module) -> dict[str, float]:
    """The share of zeros of each matrix that has many; one of nothing else was drawn so, and is to learn."""
    found = {name: float((weight == 0).float().mean()) for name, weight in matrices(model).items()}
    return {name: share for name, share in found.items() if MANY <= share < 1}


def masks(model: Module) -> dict[str, Tensor]:
    """For each matrix that has many zeros, where it has none."""
    every = matrices(model)
    return {name: every[name].detach() != 0 for name in shares(model)}


def apply(model: Module, kept: Mapping[str, Tensor]) -> None:
    """Set to zero what masks do not keep, in the matrices that are still there under their names."""
    for name, weight in model.named_parameters():
        if name in kept:
            weight.data.mul_(kept[name].to(weight.device))


def keeping(kept: Mapping[str, Tensor]) -> list[Any]:
    """Callbacks for any `transformers.Trainer` that set to zero what masks do not keep, behind every step."""
    from transformers import TrainerCallback

    class KeepZeros(TrainerCallback):
        """Sets weights to zero behind every step."""

        def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            """Called by the Trainer behind a step of the optimizer."""
            apply(model, kept)

    return [KeepZeros()] if kept else []
