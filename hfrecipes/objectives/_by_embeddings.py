"""What objectives share that ask the queries of an episode by embeddings alone: `prototypes`, `matching` and `anil`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.objectives import LossFn, Training
from hfrecipes.objectives._in_episodes import InEpisodes
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class ByEmbeddings(InEpisodes):
    """Base of objectives whose loss is the cross-entropy of an episode's queries."""

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
