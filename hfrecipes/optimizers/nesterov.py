"""nesterov: momentum with the gradient of where it leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Nesterov(Optimizer):
    """Stochastic gradient descent with Nesterov's momentum (Nesterov 1983; Sutskever et al. 2013)."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9

    usual: ClassVar[tuple[float, float]] = (1e-3, 1e-1)
    source: ClassVar[str] = "Sutskever et al. 2013, ICML, section 3"
    mechanism: ClassVar[str] = "momentum with the gradient of where it leads"
    best_for: ClassVar[str] = "as momentum, with less overshooting"

    def build(self, groups: Groups) -> TorchOptimizer:
        from torch.optim import SGD

        return SGD(groups, momentum=self.momentum, nesterov=True)
