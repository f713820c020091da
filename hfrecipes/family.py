"""Family: the facts about an architecture that tasks, strategies and targets may use.

Facts come from optimum: `TasksManager` (which Auto class does a task) and `NormalizedConfigManager` (layers, width and
heads under one name). No part ever asks for a `model_type`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch.nn import Module
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


def blocks(model: Module) -> list[str]:
    """The names of a model's blocks from the input to the output; an encoder's come before its decoder's."""
    from torch.nn import ModuleList

    lists: list[str] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in lists)
        if isinstance(module, ModuleList) and not inside and len({type(item) for item in module}) == 1:
            lists.append(name)
    return [f"{name}.{i}" for name in lists for i in range(len(model.get_submodule(name)))]  # type: ignore[arg-type]


def stacks(model: Module) -> list[int]:
    """How many blocks each stack of a model has: an encoder or a decoder alone, or both."""
    from itertools import groupby

    return [len(list(group)) for _, group in groupby(blocks(model), lambda name: name.rpartition(".")[0])]


PROJECTIONS = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("q_lin", "k_lin", "v_lin"), ("q", "k", "v"))
"""What models call the layers that make queries, keys and values."""
FUSED = ("c_attn", "qkv_proj", "query_key_value", "Wqkv")
"""What models call one layer that makes all three."""


def projections(block: Module) -> list[Module]:
    """The layers of a block that make the queries, keys and values of its first attention: three, or one that makes all. Raises
    LookupError where they have none of the known names."""
    named = [(name.rpartition(".")[2], module) for name, module in block.named_modules()]
    for wanted in (*((name,) for name in FUSED), *PROJECTIONS):
        found = [next((module for last, module in named if last == name), None) for name in wanted]
        if None not in found:
            return [module for module in found if module is not None]
    raise LookupError(f"no queries, keys and values are known in {type(block).__name__}")


def depths(model: Module) -> dict[str, int]:
    """For each parameter how far from the input it is: 0 before the first block (the embeddings, and a head that is tied to
    them), then the number of its block from 1, and one more than the blocks behind the last of them (the head)."""
    names = [f"{name}." for name in blocks(model)]
    order = list(dict(model.named_parameters()))
    found = {parameter: next((i for i, n in enumerate(names, 1) if parameter.startswith(n)), 0) for parameter in order}
    seen = 0
    for parameter in order:
        seen = max(seen, found[parameter])
        found[parameter] = found[parameter] or (len(names) + 1 if seen == len(names) else seen)
    return found


def shape(config: PreTrainedConfig) -> dict[str, int]:
    """`num_layers`, `hidden_size` and `num_attention_heads` of a config, whatever its own names for them are."""
    from optimum.utils.normalized_config import NormalizedConfigManager

    normal = NormalizedConfigManager.get_normalized_config_class(config.model_type)(config)
    return {key: getattr(normal, key) for key in ("num_layers", "hidden_size", "num_attention_heads")}
