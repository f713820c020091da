"""prototypes: a query is of the class whose mean is nearest to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.objectives._by_embeddings import ByEmbeddings
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Prototypes(ByEmbeddings):
    """Prototypical networks (Snell et al. 2017, arXiv:1703.05175): the chance that a query is of a class is the softmax of minus
    the squared distances of its embedding to the means of the classes' supports, times `scale`, as embeddings have unit length.
    """

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        """Of shape (queries, ways), for a support of shape (ways, shots, units)."""
        from hfrecipes.objectives._episode import distances

        return distances(query, support.mean(dim=1)) * -self.scale
