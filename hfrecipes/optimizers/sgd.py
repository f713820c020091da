"""sgd: the gradient times the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Sgd(Optimizer):
    """Stochastic gradient descent (Robbins and Monro 1951)."""

    usual: ClassVar[tuple[float, float]] = (1e-2, 1e-1)
    source: ClassVar[str] = "ULMFiT, Howard and Ruder 2018, arXiv:1801.06146 (1e-2)"
    mechanism: ClassVar[str] = "the gradient times the rate"
    best_for: ClassVar[str] = "little memory; heads on a frozen body"

    def build(self, groups: Groups) -> TorchOptimizer:
        from torch.optim import SGD

        return SGD(groups, fused=True)
