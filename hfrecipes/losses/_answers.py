"""What losses over answers share: a temperature, and chances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.losses import Loss, Reads
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class OfAnswers(Loss):
    """Base of losses over answers. Logits are divided by `temperature` before they become chances, and the loss is multiplied by
    its square, so that its gradient keeps its size (Hinton et al. 2015, arXiv:1503.02531, section 2)."""

    temperature: Annotated[float, Field(gt=0)] = 1.0

    reads: ClassVar[Reads] = "answers"

    def logs(self, logits: Tensor) -> Tensor:
        """The logarithms of the chances."""
        return (logits.float() / self.temperature).log_softmax(-1)

    def scaled(self, each: Tensor) -> Tensor:
        """A loss of chances at the temperature, in the size that it has without."""
        return each * self.temperature**2


def divergence(of: Tensor, by: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of chances `of` from chances `by`, both as logarithms, over the last dimension."""
    return (of.exp() * (of - by)).sum(-1)
