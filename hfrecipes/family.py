"""Family: the facts about an architecture that tasks, strategies and targets may use.

Facts come from optimum: `TasksManager` (which Auto class does a task) and `NormalizedConfigManager` (layers, width and
heads under one name). No part ever asks for a `model_type`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Architecture = Literal["encoder", "decoder", "encoder-decoder"]


@dataclass(frozen=True)
class Family:
    """A family of models: the name of its recipe, and the architecture that decides which tasks it can do, and how."""

    name: str
    architecture: Architecture


def auto_class(head: str) -> Any:
    """The Auto class of transformers for one of optimum's task names, such as `text-classification`."""
    from optimum.exporters.tasks import TasksManager

    return TasksManager.get_model_class_for_task(head, library="transformers")


def shape(config: PreTrainedConfig) -> dict[str, int]:
    """`num_layers`, `hidden_size` and `num_attention_heads` of a config, whatever its own names for them are."""
    from optimum.utils.normalized_config import NormalizedConfigManager

    normal = NormalizedConfigManager.get_normalized_config_class(config.model_type)(config)
    return {key: getattr(normal, key) for key in ("num_layers", "hidden_size", "num_attention_heads")}
