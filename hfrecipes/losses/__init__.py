"""Loss: how far a student is from its teacher, a term of `distill`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from hfrecipes.part import Part, value

if TYPE_CHECKING:
    from torch import Tensor

Reads = Literal["answers", "top_k", "embeddings", "states", "projections", "attentions"]
"""What a loss compares: answers (the logits of an item, or the teacher's largest of them), or what happens inside of models."""


@value
class Loss(Part, kind="losses"):
    """Base of losses.

    The loss counts `weight` times, and where `end_weight` is given the weight moves there in a straight line over the training.
    """

    weight: Annotated[float, Field(ge=0)] = 1.0
    end_weight: Annotated[float, Field(ge=0)] | None = None

    reads: ClassVar[Reads]
    of_numbers: ClassVar[bool] = False
    """Whether it compares predicted numbers (regression), too."""

    @property
    def inside(self) -> bool:
        """Whether it compares what happens inside of models, not their answers."""
        return self.reads not in ("answers", "top_k")

    def at(self, share: float) -> float:
        """The weight after this share of the training."""
        return self.weight + share * ((self.weight if self.end_weight is None else self.end_weight) - self.weight)

    def pairs(self, student: list[int], teacher: list[int]) -> list[tuple[int, int]]:
        """The blocks that are compared, the student's and the teacher's, for stacks of so many blocks; none for other losses."""
        return []

    @property
    def likeliest(self) -> int | None:
        """How many of the teacher's choices are enough, the likeliest; None where all are compared."""
        return None

    def check(self, student: Mapping[str, int], teacher: Mapping[str, int]) -> None:
        """Raise RecipeError where models of these shapes (`hidden_size`, `num_attention_heads`) cannot be compared."""
        return None

    @abstractmethod
    def __call__(self, student: Any, teacher: Any, mask: Tensor) -> Tensor:
        """How far the student is from the teacher: for answers of shape (items, …, choices) a number for each item and all that
        stands between, for what happens inside a number for each row; `mask`, of shape (rows, tokens), is 0 where a token does
        not count."""
