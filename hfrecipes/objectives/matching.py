"""matching: a query is of the classes of the support's texts that it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.objectives import LossFn, Objective, Training
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Matching(Objective):
    """Matching networks (Vinyals et al. 2016, arXiv:1606.04080, equation 1): the chance of a class is the sum of the attention
    that a query pays to its examples, the softmax of the cosines with all examples times `scale`. Without the paper's full
    context embeddings.

    The trained model answers by its head, the nearest mean: the examples themselves are not in it.
    """

    scale: Annotated[float, Field(gt=0)] = 10.0

    head: ClassVar[str | None] = "prototype"
    by_batch: ClassVar[bool] = True
    in_episodes: ClassVar[bool] = True

    def bind(self, training: Training) -> LossFn:
        from hfrecipes.objectives._episode import asked, passes, seen

        episodes = asked(training, self.name)

        def loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
            from torch.nn.functional import nll_loss

            outputs = passes(model, batch)
            found = seen(outputs.embeddings, episodes)
            return nll_loss(self.logits(found.support, found.query), found.truth), outputs

        return loss

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        """Log probabilities of shape (queries, ways), for a support of shape (ways, shots, units); all of unit length."""
        ways, shots, units = support.shape
        attention = (query @ support.reshape(ways * shots, units).T * self.scale).log_softmax(dim=-1)
        return attention.reshape(-1, ways, shots).logsumexp(dim=-1)
