"""Head: what stands in for the last linear layer of a model that classifies texts or tokens.

The head is an entry of the model's configuration, so a checkpoint brings it along, and `reshaping.py` builds the model with it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from hfrecipes.errors import RecipeError
from hfrecipes.part import Part

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel

ENTRY = "classifier_head"
"""The entry of a configuration that holds a head, as in YAML."""


class Head(Part, kind="heads"):
    """Base of heads."""

    @property
    def pooling(self) -> Literal["mean", "cls", "mask"] | None:
        """How one vector is made of a text for the head to read: the `mean` of its tokens' states or the first one's (`cls`), at
        unit length, or the state of its `mask`. None: the head reads what the model's own layers hand to the last one."""
        return None

    @property
    def by_row(self) -> bool:
        """Whether it must read one vector a row, of several rows at once, and none of padding."""
        return False

    @abstractmethod
    def build(self, width: int, labels: int) -> Module:
        """The layers from vectors (…, `width`) to logits (…, `labels`)."""


def last_layer(model: PreTrainedModel) -> str:
    """The name of the linear layer that gives the logits. Raises RecipeError where there is none of its own."""
    from torch.nn import Linear

    body = {id(module) for module in model.base_model.modules()}
    found = [n for n, m in model.named_modules() if isinstance(m, Linear) and m.out_features == model.config.num_labels]
    own = [name for name in found if id(model.get_submodule(name)) not in body]
    if not own or model.can_generate():
        raise RecipeError("head", f"{type(model).__name__} has no head that classifies", "Leave `head` out")
    name: str = own[-1]
    return name
