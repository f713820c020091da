"""Shrinking: a smaller model made from a checkpoint, as a student of it or to be trained alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfrecipes.errors import ModelError
from hfrecipes.family import blocks, stacks

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

COUNTS = (("num_hidden_layers",), ("num_decoder_layers", "decoder_layers"))
"""What configurations call the number of blocks, of a model's first stack and of the decoder behind its encoder."""
INSIDE = ("intermediate_size", "n_inner", "d_ff", "hidden_dim")
"""What configurations call the width inside of a feed-forward layer."""


def counted(model: PreTrainedModel, wanted: int | tuple[int, int], where: str) -> list[int]:
    """How many blocks of each stack are wanted. Raises ModelError where there are not as many."""
    sizes = stacks(model)
    if not sizes:
        raise ModelError(where, f"{type(model).__name__} has no blocks", "Leave it out")
    kept = list(wanted) if isinstance(wanted, tuple) else [wanted] * len(sizes)
    if len(kept) != len(sizes):
        raise ModelError(where, f"two numbers for {type(model).__name__}, which has one stack", "Write one number")
    for count, size in zip(kept, sizes, strict=True):
        if count > size:
            raise ModelError(where, f"{count} of {size} blocks", f"Write at most {size}")
    return kept


def keep_layers(model: PreTrainedModel, wanted: int | tuple[int, int], where: str = "model.layers") -> None:
    """Keep so many blocks of each stack (or so many of the encoder and of the decoder), evenly spread from the first on (Sanh et
    al. 2019, arXiv:1910.01108, section 3). Raises ModelError where there are not as many."""
    from torch.nn import ModuleList

    kept, sizes, names = counted(model, wanted, where), stacks(model), blocks(model)
    first = 0
    for stack, (count, size) in enumerate(zip(kept, sizes, strict=True)):
        chosen = [i * size // count for i in range(count)]
        holder = names[first].rpartition(".")[0]
        list_: Any = model.get_submodule(holder)
        model.set_submodule(holder, ModuleList([list_[i] for i in chosen]))
        for number, block in enumerate(model.get_submodule(holder).children()):
            for module in block.modules():
                if "layer_idx" in vars(module):  # by it a cache finds the keys and values of a block
                    module.layer_idx = number  # type: ignore[assignment]
        _count(model.config, stack, chosen)
        first += size


def narrow(config: PreTrainedConfig, width: int) -> None:
    """Make a configuration one of a model of this width: heads of the same size, feed-forward layers in proportion. Raises
    ModelError where heads of that size do not divide it."""
    before, heads = config.hidden_size, config.num_attention_heads
    size = before // heads
    if width % size:
        raise ModelError("model.width", f"heads of {size} units do not divide {width}", f"Write a multiple of {size}")
    config.hidden_size, config.num_attention_heads = width, width // size
    given = config.to_dict()
    for name in INSIDE:
        if given.get(name):
            setattr(config, name, given[name] * width // before)
    if given.get("num_key_value_heads"):
        config.num_key_value_heads = max(1, given["num_key_value_heads"] * width // before)
    if given.get("embedding_size") == before:
        config.embedding_size = width


def _count(config: Any, stack: int, chosen: list[int]) -> None:
    """Write the number of blocks of a stack into a configuration, and which kinds are left where it lists them."""
    given = config.to_dict()
    for name in COUNTS[stack]:
        if stack == 0 or name in given:
            setattr(config, name, len(chosen))
    if stack == 0 and given.get("layer_types"):
        config.layer_types = [given["layer_types"][i] for i in chosen]
