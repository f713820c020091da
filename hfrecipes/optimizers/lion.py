"""lion: the sign of a running mean of gradients times the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Lion(Optimizer):
    """The sign of a running mean of gradients, the weight decay apart (Chen et al. 2023, arXiv:2302.06675, algorithm 2)."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99

    usual: ClassVar[tuple[float, float]] = (2e-6, 1.5e-5)
    source: ClassVar[str] = "Chen et al. 2023, arXiv:2302.06675, section 5 (a third to a tenth of adamw's)"
    mechanism: ClassVar[str] = "the sign of a running mean of gradients"
    best_for: ClassVar[str] = "large batches; half of adam's memory"

    def build(self, groups: Groups) -> TorchOptimizer:
        import torch

        class Steps(torch.optim.Optimizer):
            @torch.no_grad()
            def step(self, closure: None = None) -> None:  # type: ignore[override]
                for group in self.param_groups:
                    for weight in (w for w in group["params"] if w.grad is not None):
                        mean = self.state[weight].setdefault("exp_avg", torch.zeros_like(weight))
                        weight.mul_(1 - group["lr"] * group["weight_decay"])
                        weight.add_(torch.lerp(mean, weight.grad, 1 - group["beta1"]).sign_(), alpha=-group["lr"])
                        mean.lerp_(weight.grad, 1 - group["beta2"])

        return Steps(groups, {"lr": 1e-5, "weight_decay": 0.0, "beta1": self.beta1, "beta2": self.beta2})
