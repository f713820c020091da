"""reptile: weights move towards where descent on each episode ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.objectives import LossFn, Training
from hfrecipes.objectives._in_episodes import InEpisodes
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor

    from hfrecipes.episodes import Episodes


@value
class Reptile(InEpisodes):
    """Reptile (Nichol et al. 2018, arXiv:1803.02999): the gradient is the weights less those after `steps` of descent by `rate`
    on an episode, its queries among what is learned from. With SGD the learning rate is the paper's step size.

    The head of an episode starts as that of `maml`. In evaluation the loss is that of the queries after steps on the support.
    """

    steps: Annotated[int, Field(gt=1)] = 4
    rate: Annotated[float, Field(gt=0)] = 0.01

    def bind(self, training: Training) -> LossFn:
        from torch.nn.functional import cross_entropy

        from hfrecipes.objectives._adaptation import towards, trained
        from hfrecipes.objectives._episode import asked, ways

        episodes = asked(training, self.name)

        def loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
            if model.training:
                return towards(model, trained(model), batch, episodes, self.scale, **self._how())
            logits, outputs = self.adapted(model, batch, episodes)
            return cross_entropy(logits, ways(episodes, logits.device)), outputs

        return loss

    def adapted(self, model: Any, batch: Mapping[str, Any], episodes: Episodes) -> tuple[Tensor, Any]:
        from hfrecipes.objectives._adaptation import adapted, trained

        return adapted(model, trained(model), batch, episodes, self.scale, **self._how())

    def _how(self) -> dict[str, Any]:
        return {"steps": self.steps, "rate": self.rate, "second_order": False}
