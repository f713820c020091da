"""maml: weights from which a few steps of descent on a support go far."""

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
class Maml(InEpisodes):
    """Model-agnostic meta-learning (Finn et al. 2017, arXiv:1703.03400): the loss of the queries after `steps` of descent by
    `rate` on the support, all trained weights adapting, minimised over the weights before them.

    `second_order` takes the gradient through the steps; without it they count as constants (FOMAML). The head of an episode
    starts from the means of its support, times `scale` (Proto-MAML, Triantafillou et al. 2020, arXiv:1903.03096). Attention is
    computed without fused operators, which cannot be differentiated twice.
    """

    steps: Annotated[int, Field(gt=0)] = 3
    rate: Annotated[float, Field(gt=0)] = 0.01
    second_order: bool = True

    def bind(self, training: Training) -> LossFn:
        from torch.autograd import grad
        from torch.nn.functional import cross_entropy

        from hfrecipes.objectives._adaptation import named_once, trained
        from hfrecipes.objectives._episode import asked, ways

        episodes = asked(training, self.name)
        if self.second_order:
            training.model.set_attn_implementation("eager")
        second, untried = f"objective.{self.name}.second_order", [True]

        def loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
            order = self.second_order and model.training
            with named_once(second):
                logits, outputs = self.adapted(model, batch, episodes, order)
                mean = cross_entropy(logits, ways(episodes, logits.device))
                if order and untried:
                    untried.clear()
                    grad(mean, list(trained(model).values()), retain_graph=True, allow_unused=True)
            return mean, outputs

        return loss

    def adapted(self, model: Any, batch: Mapping[str, Any], episodes: Episodes, second_order: bool = False) -> tuple[Tensor, Any]:
        """The logits of an episode's queries after adapting to its support, and the model's outputs for them."""
        from hfrecipes.objectives._adaptation import adapted, trained

        how = {"steps": self.steps, "rate": self.rate, "second_order": second_order}
        return adapted(model, trained(model), batch, episodes, self.scale, **how)
