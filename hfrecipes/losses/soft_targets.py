"""soft_targets: the student's answers are pulled to the teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.losses._answers import OfAnswers, divergence
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class SoftTargets(OfAnswers):
    """The Kullback-Leibler divergence of the student's chances from the teacher's at a temperature (Hinton et al. 2015,
    arXiv:1503.02531); for a number the squared difference. For tokens it is taken at every token, for answers in a text at both
    of their ends, for several labels at each."""

    temperature: Annotated[float, Field(gt=0)] = 2.0

    of_numbers: ClassVar[bool] = True

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        if student.shape[-1] == 1:
            return (student - teacher).float().pow(2).squeeze(-1)
        return self.scaled(divergence(self.logs(teacher), self.logs(student)))
