"""attentions: the student's tokens look where the teacher's do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.errors import RecipeError
from hfrecipes.losses import Reads
from hfrecipes.losses._layers import OfLayers, over_tokens
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Attentions(OfLayers):
    """The attention maps of the student's blocks against those of the teacher's: the Kullback-Leibler divergence of each token's
    map (MiniLM, Wang et al. 2020, arXiv:2002.10957, equation 6) or the squared difference (`mse`), the mean over the heads, of
    which both must have as many."""

    distance: Literal["kl", "mse"] = "kl"

    reads: ClassVar[Reads] = "attentions"

    def check(self, student: Mapping[str, int], teacher: Mapping[str, int]) -> None:
        mine, its = student["num_attention_heads"], teacher["num_attention_heads"]
        if mine != its:
            what = f"the student has {mine} heads and the teacher {its}"
            raise RecipeError(f"objective.distill.losses.{self.name}", what, "Take relations, which cuts both into heads anew")

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        """Maps of shape (rows, heads, tokens, tokens)."""
        mine, its = student.float(), teacher.float()
        if self.distance == "mse":
            apart = (mine - its).pow(2).sum(-1)
        else:
            least = 1e-9
            apart = (its * (its.clamp(min=least).log() - mine.clamp(min=least).log())).sum(-1)
        return over_tokens(apart.mean(1), mask)
