"""anil: embeddings from which a few steps of the head alone go far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.objectives._by_embeddings import ByEmbeddings
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Anil(ByEmbeddings):
    """Almost no inner loop (Raghu et al. 2020, arXiv:1909.09157): as `maml`, but the head of an episode alone adapts, which needs
    one pass of the body and gets its gradient through all `steps`."""

    steps: Annotated[int, Field(gt=0)] = 10
    rate: Annotated[float, Field(gt=0)] = 0.1

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        from hfrecipes.objectives._adaptation import adapted_head

        how = {"steps": self.steps, "rate": self.rate, "second_order": support.requires_grad}
        return adapted_head(support, query, self.scale, **how)
