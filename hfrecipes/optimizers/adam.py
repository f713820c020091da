"""adam: a running mean of gradients over the root of that of their squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, arXiv:1412.6980); a weight decay is added to the gradient."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: Annotated[float, Field(gt=0)] = 1e-8

    usual: ClassVar[tuple[float, float]] = (1e-5, 1e-4)
    source: ClassVar[str] = "Devlin et al. 2019, arXiv:1810.04805, appendix A.3"
    mechanism: ClassVar[str] = "a running mean of gradients over the root of that of their squares"
    best_for: ClassVar[str] = "as adamw, without weight decay"

    def build(self, groups: Groups) -> TorchOptimizer:
        from torch.optim import Adam as TorchAdam

        return TorchAdam(groups, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)
