"""Reshaping: models of transformers with layers of other shapes, which plain `from_pretrained` loads again.

What differs from the plain model stands in the configuration: the shapes of linear layers (`layer_shapes`), the ranks of those
that are two layers now (`layer_ranks`), and another head (`classifier_head`). Such a configuration has a `model_type` of its own,
and keeps the plain one as `base_model_type`. A model whose sizes the plain
configuration can express stays plain.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import Linear, Sequential
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.pytorch_utils import Conv1D

from hfrecipes.auto_classes import BASE, TYPE
from hfrecipes.family import attentions, blocks, feed_forwards, linear_layers
from hfrecipes.heads import ENTRY, Head, last_layer
from hfrecipes.part import named_by_a_model
from hfrecipes.pooling import pool, pooled_head
from hfrecipes.shrinking import INSIDE

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedConfig, PreTrainedModel

SHAPES, RANKS = "layer_shapes", "layer_ranks"
HEADS, GROUPS = ("num_attention_heads", "num_heads"), "num_key_value_heads"
HEAD_SIZE = ("head_dim", "d_kv")
"""What configurations call the size of a head, where it does not follow from the width and the number of heads."""


class Factors(Sequential):
    """Two linear layers in the place of one whose matrix is their product."""

    @property
    def weight(self) -> Tensor:
        """The product, of shape (out, in)."""
        return self[1].weight @ self[0].weight  # type: ignore[operator]

    @property
    def bias(self) -> Any:
        """The vector of the second layer."""
        return self[1].bias


@cache
def config_class(base: Any) -> Any:
    """The configuration class of reshaped models of a type, whose model classes every Auto class knows from now on."""
    made = type(f"Reshaped{base.__name__}", (base,), {"model_type": TYPE, "__module__": __name__, "__doc__": base.__doc__})
    for name in dir(modeling_auto):
        auto = getattr(modeling_auto, name)
        known = getattr(auto, "_model_mapping", None)
        if name.startswith("AutoModel") and known is not None and base in known:  # its truth would import every model there is
            kinds = known[base]
            auto.register(made, _model_class(kinds[0] if isinstance(kinds, tuple) else kinds, made), exist_ok=True)
    return made


@cache
def _model_class(kind: Any, config: Any) -> Any:
    """`kind` with the layers that its configuration names."""

    def made(self: Any, config: Any, *given: Any, **named: Any) -> None:
        kind.__init__(self, config, *given, **named)
        reshape(self)

    return type(f"Reshaped{kind.__name__}", (kind,), {"config_class": config, "__init__": made, "__module__": __name__})


def as_reshaped(config: PreTrainedConfig, **entries: Any) -> Any:
    """A configuration as one of a reshaped model, with entries of what differs."""
    if config.model_type == TYPE:
        found = config
    else:
        kind: Any = type(config)
        found = config_class(kind).from_dict({**config.to_dict(), "model_type": TYPE, BASE: config.model_type})
        found._attn_implementation = config._attn_implementation
        found.name_or_path = config.name_or_path
    for name, entry in entries.items():
        setattr(found, name, entry)
    return found


def reshape(model: PreTrainedModel) -> None:
    """Give a plain model, in place, the layers that its configuration names."""
    config: Any = model.config.to_dict()
    own = {name for name, _ in model.named_modules()}
    prefix = f"{model.base_model_prefix}."

    def here(name: str) -> str | None:
        """A name in the configuration is one in the model that was saved: a body alone has no prefix."""
        found = [each for each in (name, name.removeprefix(prefix), prefix + name) if each in own]
        return found[0] if found else None

    for given, (rows, columns) in config.get(SHAPES, {}).items():
        if name := here(given):
            old: Any = model.get_submodule(name)
            new = Conv1D(rows, columns) if isinstance(old, Conv1D) else Linear(columns, rows, bias=old.bias is not None)
            model.set_submodule(name, new)
    for given, rank in config.get(RANKS, {}).items():
        if name := here(given):
            model.set_submodule(name, factors(model.get_submodule(name), rank))
    settle(model)
    if config.get(ENTRY) is not None and (name := _classifies(model)):
        with named_by_a_model():
            head: Head = Head.choose(config[ENTRY])
        last: Any = model.get_submodule(name)
        model.set_submodule(name, head.build(last.in_features, len(config["id2label"])))
        pool(model, name, head.pooling)


def _classifies(model: PreTrainedModel) -> str | None:
    """The name of the layer that gives the logits; None for a body."""
    return last_layer(model) if model.base_model is not model else None


def factors(layer: Any, rank: int) -> Factors:
    """New layers of this rank in the place of a linear one."""
    rows, columns = size(layer)
    return Factors(Linear(columns, rank, bias=False), Linear(rank, rows, bias=layer.bias is not None))


def size(layer: Any) -> tuple[int, int]:
    """Outputs and inputs of a linear layer."""
    rows, columns = layer.weight.shape[::-1] if isinstance(layer, Conv1D) else layer.weight.shape
    return int(rows), int(columns)


def settle(model: Module) -> None:
    """Tell attentions how many units they have, where they do not see it from their layers."""
    for block in blocks(model):
        for attention in attentions(model.get_submodule(block)):
            holder: Any = attention.holder
            units = size(attention.out)[1]
            for name in ("split_size", "inner_dim", "all_head_size"):
                if name in vars(holder):
                    setattr(holder, name, units)
            for name in ("num_heads", "n_heads", "num_attention_heads"):
                if name in vars(holder):
                    setattr(holder, name, units // attention.head_size)


def describe(model: PreTrainedModel) -> None:
    """Write into the configuration of a model, in place, what its layers have become; a model that its plain configuration does
    not describe becomes one of the reshaped class."""
    import torch

    config = model.config
    entry = config.to_dict().get(ENTRY)
    _express(model)
    base: Any = next(c for c in type(model).__mro__ if not c.__name__.startswith("Reshaped"))
    plain_config = CONFIG_MAPPING[getattr(config, BASE, config.model_type)]
    values = {k: e for k, e in config.to_dict().items() if k not in (SHAPES, RANKS, BASE, ENTRY, "model_type")}
    with torch.device("meta"):
        plain = base(plain_config.from_dict(values))
    expected = {name: size(plain.get_submodule(name)) for name in linear_layers(plain)}
    shapes, ranks = {}, {}
    for name, usual in expected.items():
        layer: Any = model.get_submodule(name)
        if isinstance(layer, Factors):
            ranks[name] = size(layer[0])[0]
        now = (size(layer[1])[0], size(layer[0])[1]) if isinstance(layer, Factors) else size(layer)
        if now != usual:
            shapes[name] = list(now)
    if shapes or ranks or entry is not None:
        found = as_reshaped(config, **{SHAPES: shapes, RANKS: ranks})
        model.config, kind = found, found.__class__
        model.__class__ = _model_class(base, kind)
        if pooled := pooled_head(model):
            pool(model, *pooled)


def _express(model: PreTrainedModel) -> None:
    """Write sizes that all blocks share into the entries that a plain configuration has for them."""
    config: Any = model.config
    given = config.to_dict()
    every = [model.get_submodule(name) for name in blocks(model)]
    inner = {size(found.out)[1] for block in every for found in feed_forwards(block)}
    for name in INSIDE:
        if name in given and len(inner) == 1:
            setattr(config, name, inner.pop())
            break
    if not any(given.get(name) for name in HEAD_SIZE):
        return
    found = [attention for block in every for attention in attentions(block)]
    counts = {(size(each.queries)[0] // each.head_size, size(each.keys)[0] // each.head_size) for each in found}
    if len(counts) == 1:
        heads, groups = counts.pop()
        for name in HEADS:
            if name in given:
                setattr(config, name, heads)
        if given.get(GROUPS):
            setattr(config, GROUPS, groups)
