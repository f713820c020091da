"""What strategies that open a model in stages share: a callback, and the rates that fall with the depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hfrecipes.errors import RecipeError
from hfrecipes.family import depths

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Opening(TrainerCallback):
    """Before every step, let exactly the parameters learn that are at least as deep as `lowest(epoch)`.

    It keeps nothing: a resumed training opens what its epoch says. The optimizer keeps the moments of what is closed again.
    """

    def __init__(self, model: PreTrainedModel, lowest: Callable[[int], int]) -> None:
        self.depths, self.lowest = depths(model), lowest

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Called by the Trainer."""
        least = self.lowest(int(state.epoch or 0))
        for name, parameter in getattr(model, "module", model).named_parameters():
            parameter.requires_grad_(self.depths[name] >= least)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Leave the model whole."""
        getattr(model, "module", model).requires_grad_(True)


def falling_rates(model: PreTrainedModel, decay: float) -> dict[str, float]:
    """`decay` to the power of the steps that a parameter is below the head."""
    found = depths(model)
    top = max(found.values())
    return {name: decay ** (top - depth) for name, depth in found.items()}


def check_head(where: str, model: PreTrainedModel) -> None:
    """Refuse a model that is a body alone: with all of it frozen nothing could learn."""
    if model.base_model is model and not model.can_generate():
        raise RecipeError(where, "this task has no head that could learn while the body is frozen", "Take full or layer_decay")


def check_solver(where: str, model: PreTrainedModel) -> None:
    """Refuse a model with a head (`check_head`) whose last layer is not a linear one of its own."""
    from hfrecipes.heads import last_layer
    from hfrecipes.heads._layers import Prototypes

    try:
        name = last_layer(model)
    except RecipeError as error:
        raise RecipeError(where, error.what, "Leave it out") from None
    if isinstance(model.get_submodule(name), Prototypes):
        raise RecipeError(where, "the points of a prototype head are the means of the classes", "Leave it out")


def check_epochs(where: str, stages: float, epochs: float) -> None:
    """Refuse a training that ends before the last stage begins."""
    if stages > epochs:
        what = f"the last stage begins behind epoch {stages:g} and the training has {epochs:g}"
        raise RecipeError(where, what, "Write more num_train_epochs, or fewer epochs a stage")
