"""matching: a query is of the classes of the support's texts that it looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.objectives._by_embeddings import ByEmbeddings
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Matching(ByEmbeddings):
    """Matching networks (Vinyals et al. 2016, arXiv:1606.04080, equation 1): the chance of a class is the sum of the attention
    that a query pays to its examples, the softmax of the cosines with all examples times `scale`. Without the paper's full
    context embeddings.

    The trained model answers by its head, the nearest mean: the examples themselves are not in it.
    """

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        """Log probabilities of shape (queries, ways), for a support of shape (ways, shots, units); all of unit length."""
        ways, shots, units = support.shape
        attention = (query @ support.reshape(ways * shots, units).T * self.scale).log_softmax(dim=-1)
        return attention.reshape(-1, ways, shots).logsumexp(dim=-1)
