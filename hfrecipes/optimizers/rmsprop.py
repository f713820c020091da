"""rmsprop: the gradient over the root of the mean of its squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Rmsprop(Optimizer):
    """The gradient over the root of a running mean of its squares (Tieleman and Hinton 2012, lecture 6.5)."""

    alpha: Annotated[float, Field(ge=0, lt=1)] = 0.99
    eps: Annotated[float, Field(gt=0)] = 1e-8

    usual: ClassVar[tuple[float, float]] = (1e-5, 1e-4)
    source: ClassVar[str] = "no paper on transformers; taken as adam, of which it is a part"
    mechanism: ClassVar[str] = "the gradient over the root of the mean of its squares"
    best_for: ClassVar[str] = "recurrent heads"

    def build(self, groups: Groups) -> TorchOptimizer:
        from torch.optim import RMSprop

        return RMSprop(groups, alpha=self.alpha, eps=self.eps)
