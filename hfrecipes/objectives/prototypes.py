"""prototypes: a query is of the class whose mean is nearest to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.objectives import LossFn, Objective, Training
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Prototypes(Objective):
    """Prototypical networks (Snell et al. 2017, arXiv:1703.05175): the chance that a query is of a class is the softmax of minus
    the squared distances of its embedding to the means of the classes' supports, times `scale`, as embeddings have unit length.
    """

    scale: Annotated[float, Field(gt=0)] = 10.0

    head: ClassVar[str | None] = "prototype"
    by_batch: ClassVar[bool] = True
    in_episodes: ClassVar[bool] = True

    def bind(self, training: Training) -> LossFn:
        from hfrecipes.objectives._episode import asked, passes, seen

        episodes = asked(training, self.name)

        def loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
            from torch.nn.functional import cross_entropy

            outputs = passes(model, batch)
            found = seen(outputs.embeddings, episodes)
            return cross_entropy(self.logits(found.support, found.query), found.truth), outputs

        return loss

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        """Of shape (queries, ways), for a support of shape (ways, shots, units)."""
        from hfrecipes.objectives._episode import distances

        return distances(query, support.mean(dim=1)) * -self.scale
