"""What losses over layers share: which blocks of the student learn from which of the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hfrecipes.errors import RecipeError
from hfrecipes.losses import Loss
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor

Block = Annotated[int, Field(gt=0)]


@value
class OfLayers(Loss):
    """Base of losses over layers.

    `layers` says which block of the student learns from which of the teacher, each counted from 1 at the input: `uniform` spreads
    the student's evenly over the teacher's, `last` takes the last of both, and a list names pairs, `[[1, 2], [3, 6]]`; a
    decoder's blocks are counted behind its encoder's. The loss is the mean over the pairs.
    """

    layers: Literal["uniform", "last"] | tuple[tuple[Block, Block], ...] = "uniform"

    def pairs(self, student: list[int], teacher: list[int]) -> list[tuple[int, int]]:
        """Pairs of block numbers for stacks of so many blocks: of one stack, or of an encoder and a decoder. Raises RecipeError
        where a block is named that is not there, or where one model has a decoder beside its encoder and the other has not."""
        where = f"objective.distill.losses.{self.name}.layers"
        if isinstance(self.layers, tuple):
            for mine, its in self.layers:
                for side, number, most in (("student", mine, sum(student)), ("teacher", its, sum(teacher))):
                    if number > most:
                        raise RecipeError(where, f"the {side} has no block {number}", f"It has {most}")
            return list(self.layers)
        if len(student) != len(teacher):
            raise RecipeError(where, "one model has an encoder and a decoder, the other has one of them", "Write the pairs")
        found, before = [], (0, 0)
        for mine, its in zip(student, teacher, strict=True):
            chosen = [mine] if self.layers == "last" else range(1, mine + 1)
            found += [(before[0] + i, before[1] + max(1, round(i * its / mine))) for i in chosen]
            before = (before[0] + mine, before[1] + its)
        return found


def over_tokens(each: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens of each row that count: from (rows, tokens) to (rows,)."""
    kept = mask.to(each.dtype)
    return (each * kept).sum(-1) / kept.sum(-1).clamp(min=1)
