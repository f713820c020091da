"""adamw: adam, the weight decay apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Adamw(Optimizer):
    """Adam with a weight decay that is not scaled by the moments (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: Annotated[float, Field(gt=0)] = 1e-8

    usual: ClassVar[tuple[float, float]] = (2e-5, 5e-5)
    source: ClassVar[str] = "Devlin et al. 2019, arXiv:1810.04805, appendix A.3"
    mechanism: ClassVar[str] = "adam, the weight decay apart"
    best_for: ClassVar[str] = "transformers: the usual choice"

    def build(self, groups: Groups) -> TorchOptimizer:
        from torch.optim import AdamW

        return AdamW(groups, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)
