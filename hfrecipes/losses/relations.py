"""relations: how the student's tokens relate to each other is pulled to how the teacher's do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hfrecipes.errors import RecipeError
from hfrecipes.losses import Reads
from hfrecipes.losses._answers import divergence
from hfrecipes.losses._layers import Block, OfLayers, over_tokens
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Relations(OfLayers):
    """The relations of queries with queries, keys with keys and values with values, as distributions over tokens: their
    Kullback-Leibler divergence (MiniLMv2, Wang et al. 2021, arXiv:2012.15828). Widths and numbers of heads may differ: queries,
    keys and values are cut into `heads` relation heads anew."""

    heads: Annotated[int, Field(gt=0)] = 12
    layers: Literal["uniform", "last"] | tuple[tuple[Block, Block], ...] = "last"

    reads: ClassVar[Reads] = "projections"

    def check(self, student: Mapping[str, int], teacher: Mapping[str, int]) -> None:
        mine, its = student["hidden_size"], teacher["hidden_size"]
        if mine % self.heads or its % self.heads:
            what = f"{self.heads} heads do not divide the widths {mine} and {its}"
            raise RecipeError(f"objective.distill.losses.{self.name}.heads", what, "Write a number that divides both")

    def __call__(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], mask: Tensor) -> Tensor:
        """Queries, keys and values of both, each of shape (rows, tokens, units)."""
        found = [over_tokens(self._apart(a, b, mask), mask) for a, b in zip(student, teacher, strict=True)]
        total: Tensor = sum(found[1:], found[0])
        return total / len(found)

    def _apart(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        """The divergence at each token, the mean over the relation heads: (rows, tokens)."""
        mine, its = (self._logs(vectors, mask) for vectors in (student, teacher))
        return divergence(its, mine).mean(1)

    def _logs(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """The logarithms of the relations, of shape (rows, heads, tokens, tokens)."""
        import torch

        rows, tokens, units = vectors.shape
        cut = vectors.float().view(rows, tokens, self.heads, units // self.heads).transpose(1, 2)
        scores = cut @ cut.transpose(-1, -2) / (units // self.heads) ** 0.5
        found: Tensor = scores.masked_fill(mask[:, None, None, :] == 0, torch.finfo(scores.dtype).min).log_softmax(-1)
        return found
