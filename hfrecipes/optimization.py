"""Optimization: the optimizer of a run, with a learning rate for each parameter as its strategy wants it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.errors import RecipeError
from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.optimizers.adamw import Adamw

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer as TorchOptimizer
    from transformers import TrainingArguments

    from hfrecipes.family import Family
    from hfrecipes.strategies import Strategy

FAR = 10
"""How many times above or below the usual rates a learning rate is far out."""


def parameter_groups(model: Module, rates: Mapping[str, float], learning_rate: float, weight_decay: float) -> Groups:
    """The parameters that are trained, in groups of one learning rate; vectors (biases, norms) have no weight decay.

    Each group has the `names` of its parameters beside them. Works with any optimizer of torch:
    `Trainer(..., optimizers=(torch.optim.AdamW(parameter_groups(model, rates, 2e-5, 0.01)), None))`.
    """
    found: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor, matrix = rates.get(name, 1.0), parameter.ndim > 1
            options = {"lr": learning_rate * factor, "weight_decay": weight_decay if matrix else 0.0}
            group = found.setdefault((factor, matrix), {"params": [], "names": [], **options})
            group["params"].append(parameter)
            group["names"].append(name)
    return list(found.values())


def build_optimizer(
    part: Optimizer | None, model: Module, rates: Mapping[str, float], options: TrainingArguments
) -> TorchOptimizer:
    """The optimizer that the recipe names, or the one of `train: {optim: …}`."""
    groups = parameter_groups(model, rates, options.learning_rate, options.weight_decay)
    if part is not None:
        return part.build(groups)
    from transformers import Trainer

    kind, arguments = Trainer.get_optimizer_cls_and_kwargs(options, model)  # type: ignore[arg-type]
    built: TorchOptimizer = kind(groups, **arguments)
    return built


def listed(optimizer: TorchOptimizer, learning_rate: float) -> list[dict[str, Any]]:
    """What each group learns at before the schedule: its rate, its weight decay and the names of its parameters."""
    return [
        {
            "learning_rate": group.get("initial_lr", group["lr"]),
            "factor": group.get("initial_lr", group["lr"]) / learning_rate,
            "weight_decay": group["weight_decay"],
            "parameters": group["names"],
        }
        for group in optimizer.param_groups
    ]


def check_rate(learning_rate: float) -> None:
    """Refuse a learning rate at which nothing is learned."""
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise RecipeError("train.learning_rate", f"is {learning_rate:g}", "Write a number above 0, such as 5e-5")


def unusual_rate(part: Optimizer | None, strategy: Strategy, family: Family, learning_rate: float) -> str | None:
    """One line that says by how much a learning rate is out of what is usual, and by which source; None where it is not."""
    optimizer = part or Adamw()
    low, high = (rate * strategy.rate_factor * family.rate_factor for rate in optimizer.usual)
    middle = math.sqrt(low * high)
    if low / FAR <= learning_rate <= high * FAR:
        return None
    times = learning_rate / middle if learning_rate > middle else middle / learning_rate
    sources = "; ".join(source for source in (optimizer.source, strategy.rate_source, family.rate_source) if source)
    side = "above" if learning_rate > middle else "below"
    return (
        f"learning_rate {learning_rate:g} with {optimizer.name} and {strategy.name} is about {times:.0f} times {side} the usual "
        f"{low:g} … {high:g} ({sources})"
    )
