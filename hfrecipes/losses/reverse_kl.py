"""reverse_kl: the student must not find likely what the teacher does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.losses._answers import OfAnswers, divergence
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class ReverseKl(OfAnswers):
    """The Kullback-Leibler divergence of the teacher from the student: the student may leave out what it has no room for, but
    must not find likely what the teacher does not (MiniLLM, Gu et al. 2024, arXiv:2306.08543; here token by token)."""

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        return self.scaled(divergence(self.logs(student), self.logs(teacher)))
