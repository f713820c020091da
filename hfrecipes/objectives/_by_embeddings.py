"""What objectives share that ask the queries of an episode by embeddings alone: `prototypes`, `matching` and `anil`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.objectives import LossFn, Objective, Training
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class ByEmbeddings(Objective):
    """Base of objectives whose loss is the cross-entropy of an episode's queries; `scale` is for embeddings of unit length."""

    scale: Annotated[float, Field(gt=0)] = 10.0

    head: ClassVar[str | None] = "prototype"
    by_batch: ClassVar[bool] = True
    in_episodes: ClassVar[bool] = True

    def bind(self, training: Training) -> LossFn:
        from torch.nn.functional import cross_entropy

        from hfrecipes.objectives._episode import asked, passes, seen

        episodes = asked(training, self.name)

        def loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
            outputs = passes(model, batch)
            found = seen(outputs.embeddings, episodes)
            return cross_entropy(self.logits(found.support, found.query), found.truth), outputs

        return loss

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        """Of shape (queries, ways), for a support of shape (ways, shots, units)."""
        raise NotImplementedError
