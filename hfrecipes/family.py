"""Family: the facts about an architecture that tasks, strategies and targets may use.

Facts come from optimum: `TasksManager` (which Auto class does a task) and `NormalizedConfigManager` (layers, width and
heads under one name). No part ever asks for a `model_type`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hfrecipes.errors import ModelError

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedConfig

Architecture = Literal["encoder", "decoder", "encoder-decoder"]


@dataclass(frozen=True)
class Family:
    """A family of models: the name of its recipe, and the architecture that decides which tasks it can do, and how. `rate_factor`
    is how many times the learning rate that is usual for BERT is usual here, by `rate_source`."""

    name: str
    architecture: Architecture
    rate_factor: float = 1.0
    rate_source: str = ""


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


def linear_layers(model: Module) -> list[str]:
    """The names of all linear layers inside the blocks."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    inside = tuple(f"{name}." for name in blocks(model))
    return [n for n, module in model.named_modules() if isinstance(module, (Linear, Conv1D)) and n.startswith(inside)]


@dataclass(frozen=True)
class Attention:
    """The layers of one attention: what makes its queries, keys and values (one layer thrice where it makes all), what reads the
    heads, and the module that computes between them."""

    holder: Any
    queries: Any
    keys: Any
    values: Any
    out: Any
    head_size: int

    @property
    def shared(self) -> int:
        """How many heads of queries share one of keys."""
        wide, narrow = (layer.weight.numel() for layer in (self.queries, self.keys))
        return int(wide // narrow)


@dataclass(frozen=True)
class FeedForward:
    """The layers of one feed-forward: those that widen, which share their units, and the one that reads these."""

    inner: tuple[Any, ...]
    out: Any


ATTENDING = (
    ("self", "query", "key", "value", "output.dense"),
    ("", "q_lin", "k_lin", "v_lin", "out_lin"),
    ("", "q_proj", "k_proj", "v_proj", "o_proj"),
    ("", "q", "k", "v", "o"),
    ("", "c_attn", "c_attn", "c_attn", "c_proj"),
)
"""What models call, inside an attention, the module that computes, its layers, and the one that reads the heads."""
WIDENING = (
    (("intermediate.dense",), "output.dense"),
    (("lin1",), "lin2"),
    (("gate_proj", "up_proj"), "down_proj"),
    (("wi_0", "wi_1"), "wo"),
    (("wi",), "wo"),
    (("c_fc",), "c_proj"),
)
"""What models call the layers of a feed-forward that widen, and the one behind them."""
HEAD_SIZES = ("attention_head_size", "head_dim", "key_value_proj_dim")
"""What attentions call the units of a head."""


def attentions(block: Module) -> list[Attention]:
    """The attentions of a block, as far as their layers have known names; a decoder's that reads an encoder comes last."""
    found = []
    for module in block.modules():
        for holder, *layers, out in ATTENDING:
            inside = dict(module.named_modules())
            names = [f"{holder}.{layer}".lstrip(".") for layer in layers]
            if {*names, out} <= set(inside):
                own = inside[holder]
                units = next(int(vars(own)[name]) for name in HEAD_SIZES if name in vars(own))
                queries, keys, values = (inside[name] for name in names)
                found.append(Attention(own, queries, keys, values, inside[out], units))
                break
    return found


def feed_forwards(block: Module) -> list[FeedForward]:
    """The feed-forwards of a block, as far as their layers have known names."""
    found = []
    for module in block.modules():
        inside = dict(module.named_modules())
        for inner, out in WIDENING:
            if {*inner, out} <= set(inside):
                found.append(FeedForward(tuple(inside[name] for name in inner), inside[out]))
                break
    return found


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
    """`num_layers`, `hidden_size` and `num_attention_heads` of a config, whatever its own names for them are. Raises
    ModelError for a type that has none."""
    from optimum.utils.normalized_config import NormalizedConfigManager

    try:
        kind = NormalizedConfigManager.get_normalized_config_class(config.model_type)
    except KeyError:
        what = f"layers and heads of the type {config.model_type} are not known"
        raise ModelError("model", what, "Compare answers alone, as soft_targets does") from None
    normal = kind(config)
    return {key: getattr(normal, key) for key in ("num_layers", "hidden_size", "num_attention_heads")}
