"""embeddings: what the student's blocks start from is pulled to what the teacher's do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hfrecipes.losses import Loss, Reads
from hfrecipes.losses._layers import over_tokens
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Embeddings(Loss):
    """The squared difference of what enters the first block, token by token (TinyBERT, Jiao et al. 2020, arXiv:1909.10351,
    equation 9), behind a linear map that learns along where the widths differ."""

    reads: ClassVar[Reads] = "embeddings"

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        return over_tokens((student.float() - teacher.float()).pow(2).mean(-1), mask)
