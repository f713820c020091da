"""Head: what stands in for the last linear layer of a model that classifies texts or tokens.

The head is an entry of the model's configuration, so a checkpoint brings it along; `model_class` builds the model with it. Plain
`from_pretrained` knows nothing of it: open such a checkpoint with `Predictor`, or with `hfrecipes.checkpoint.load_trained`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from hfrecipes.errors import RecipeError
from hfrecipes.family import auto_class
from hfrecipes.part import Part

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedConfig, PreTrainedModel

ENTRY = "classifier_head"
"""The entry of a configuration that holds a head, as in YAML."""


class Head(Part, kind="heads"):
    """Base of heads."""

    @property
    def by_row(self) -> bool:
        """Whether it must read one vector a row, of several rows at once, and none of padding."""
        return False

    @abstractmethod
    def build(self, width: int, labels: int) -> Module:
        """The layers from vectors (…, `width`) to logits (…, `labels`)."""


def model_class(task: str, config: PreTrainedConfig) -> Any:
    """The class that loads or makes a model for one of optimum's task names: the Auto class, or a model's own with another
    head where the configuration names one."""
    auto = auto_class(task)
    entry = getattr(config, ENTRY, None)
    if entry is None:
        return auto
    head: Head = Head.choose(entry)
    kind: Any = auto._model_mapping[type(config)]

    class WithHead(kind):
        """A model of transformers with another head."""

        def __init__(self, config: Any, *given: Any, **named: Any) -> None:
            super().__init__(config, *given, **named)
            name = last_layer(self)
            self.set_submodule(name, head.build(self.get_submodule(name).in_features, config.num_labels))

        @classmethod
        def from_config(cls, config: Any, **named: Any) -> Any:
            return cls._from_config(config, **named)

    WithHead.__name__ = WithHead.__qualname__ = kind.__name__
    WithHead.__module__ = kind.__module__
    return WithHead


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
