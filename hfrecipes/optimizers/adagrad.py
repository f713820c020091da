"""adagrad: the gradient over the root of the sum of its squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Adagrad(Optimizer):
    """The gradient over the root of the sum of all its squares (Duchi et al. 2011, JMLR 12)."""

    eps: Annotated[float, Field(gt=0)] = 1e-10

    usual: ClassVar[tuple[float, float]] = (1e-3, 1e-2)
    source: ClassVar[str] = "Duchi et al. 2011, JMLR 12; torch takes 1e-2"
    mechanism: ClassVar[str] = "the gradient over the root of the sum of its squares"
    best_for: ClassVar[str] = "sparse features; rates that must fall by themselves"

    def build(self, groups: Groups) -> TorchOptimizer:
        from torch.optim import Adagrad as TorchAdagrad

        return TorchAdagrad(groups, eps=self.eps, fused=True)
