"""forward_kl: the student must find likely all that the teacher does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.losses._answers import OfAnswers, divergence
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class ForwardKl(OfAnswers):
    """The Kullback-Leibler divergence of the student from the teacher at every token: the student must find likely all that the
    teacher does (Kim and Rush 2016, arXiv:1606.07947, word level)."""

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        return self.scaled(divergence(self.logs(teacher), self.logs(student)))
