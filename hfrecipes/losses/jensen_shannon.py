"""jensen_shannon: both models against their mixture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.losses._answers import OfAnswers, divergence
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class JensenShannon(OfAnswers):
    """The divergences of the teacher (weighed by `beta`) and of the student from their mixture, `beta` of it the teacher's
    (generalized Jensen-Shannon, Agarwal et al. 2024, arXiv:2306.13649): never infinite, and between `forward_kl` (`beta` near 0)
    and `reverse_kl` (near 1). Where the models hardly differ it is `beta * (1 - beta)` times either of these: beside labels it
    may need a `weight`."""

    beta: Annotated[float, Field(gt=0, lt=1)] = 0.5

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        import torch

        mine, its = self.logs(student), self.logs(teacher)
        mixed = torch.logaddexp(its + math.log(self.beta), mine + math.log(1 - self.beta))
        return self.scaled(self.beta * divergence(its, mixed) + (1 - self.beta) * divergence(mine, mixed))
