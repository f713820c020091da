"""adafactor: adam with factored second moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hfrecipes.optimizers import Groups, Optimizer
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer


@value
class Adafactor(Optimizer):
    """Adam whose second moments are kept as a row and a column of each matrix (Shazeer and Stern 2018,
    arXiv:1804.04235), without a first moment and with a given rate."""

    usual: ClassVar[tuple[float, float]] = (1e-4, 1e-3)
    source: ClassVar[str] = "Raffel et al. 2020, arXiv:1910.10683, section 3.1.2 (1e-3)"
    mechanism: ClassVar[str] = "adam with factored second moments"
    best_for: ClassVar[str] = "T5; little memory"

    def build(self, groups: Groups) -> TorchOptimizer:
        from transformers import Adafactor as Factored

        return Factored(groups, scale_parameter=False, relative_step=False)
