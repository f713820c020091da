"""top_k: the likeliest tokens of a teacher with a large vocabulary, and the rest as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.losses import Loss, Reads
from hfrecipes.losses._answers import divergence
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class TopK(Loss):
    """The Kullback-Leibler divergence of the student from the teacher over the `k` choices that the teacher finds likeliest, all
    others taken together as one. The teacher's `k` are stored, so that it runs once."""

    k: Annotated[int, Field(gt=0)] = 16

    reads: ClassVar[Reads] = "top_k"

    @property
    def likeliest(self) -> int:
        return self.k

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        """`teacher` is of shape (items, 2 k): the ids of the likeliest choices, then the logarithms of their chances."""
        ids, its = teacher[..., : self.k].long(), teacher[..., self.k :].float()
        mine = student.float().log_softmax(-1).gather(-1, ids)
        return divergence(with_rest(its), with_rest(mine))


def with_rest(logs: Tensor) -> Tensor:
    """Logarithms of chances, and that of what they leave over."""
    import torch

    left = (1 - logs.exp().sum(-1, keepdim=True)).clamp(min=1e-7)
    return torch.cat([logs, left.log()], -1)
