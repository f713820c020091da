"""anil: embeddings from which a few steps of the head alone go far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.objectives import LossFn, Objective, Training
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Anil(Objective):
    """Almost no inner loop (Raghu et al. 2020, arXiv:1909.09157): as `maml`, but the head of an episode alone adapts, which needs
    one pass of the body and gets its gradient through all `steps`."""

    steps: Annotated[int, Field(gt=0)] = 10
    rate: Annotated[float, Field(gt=0)] = 0.1
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
        from hfrecipes.objectives._adaptation import adapted_head

        how = {"steps": self.steps, "rate": self.rate, "second_order": support.requires_grad}
        return adapted_head(support, query, self.scale, **how)
