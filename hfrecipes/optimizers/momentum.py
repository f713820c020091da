"""momentum: a running sum of gradients times the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Momentum(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964)."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9

    usual: ClassVar[tuple[float, float]] = (1e-3, 1e-1)
    source: ClassVar[str] = "Sutskever et al. 2013, ICML, section 3"
    mechanism: ClassVar[str] = "a running sum of gradients times the rate"
    best_for: ClassVar[str] = "smooth losses; large batches"

    def build(self, groups: Groups) -> TorchOptimizer:
        from torch.optim import SGD

        return SGD(groups, momentum=self.momentum)
