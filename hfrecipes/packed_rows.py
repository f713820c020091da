"""Packed rows: from its first block to its last a model reads the tokens of a batch as one row, without padding.

Attention alone looks at rows: at those of one length together, in an operator of our own. What is trained is the same to the
last digits; dropout is drawn for fewer tokens, as with another seed. As padding costs nothing then, a step may take rows of all
lengths: where rows are sorted there are steps of short texts and steps of long ones, and three epochs of MiniLM end 0.05 higher
in held-out loss. (What transformers has of this is FlashAttention's, and needs a GPU.)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from transformers import AttentionInterface, AttentionMaskInterface

from hfrecipes.family import blocks
from hfrecipes.lighter_calls import LighterCalls, answers
from hfrecipes.packed_attention import Plan, attend, current, hold

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

NAME = "packed_rows"
"""What the attention is called among those of transformers."""
ABSOLUTE = ("position_embeddings", "wpe")
"""What models call embeddings of positions that are added before the first block: others tell their blocks where a token is."""
BESIDE = ("inputs_embeds", "past_key_values", "position_ids")
"""What a call may bring that says more of its tokens than a mask does."""


class PackedRows(LighterCalls):
    """A model's blocks as they are called during a training, or from `begin()` to `end()`.

    A call is as it ever was where it asks for hidden states, has no row with padding, or something else reads inside a block.
    `possible` says whether the model can be called so.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        names = blocks(model)
        self.blocks = [model.get_submodule(name) for name in names]
        self.before = model.config._attn_implementation
        self.calls = 0
        self.sides = [False, True] if self._known() else []
        self.sides = [left for left in self.sides if self._unpadded(left)]
        self.possible = False in self.sides

    def end(self) -> None:
        """Call the model as ever."""
        if self._hooks:
            for block in {id(block): block for block in (self.blocks[0], self.blocks[-1])}.values():
                del block.forward
        super().end()

    def _put_on(self) -> None:
        self._hooks += [
            self.model.register_forward_pre_hook(self._enter, with_kwargs=True),
            self.model.register_forward_hook(self._leave, always_call=True),
        ]
        self.blocks[0].forward = _packing(self.blocks[0].forward)
        self.blocks[-1].forward = _unpacking(self.blocks[-1].forward)

    def _enter(self, model: Module, given: Any, named: dict[str, Any]) -> None:
        plan = None if given else self._plan(named)
        if plan is not None:
            hold(plan)
            self.model.config._attn_implementation = NAME
            self.calls += 1

    def _plan(self, named: Mapping[str, Any]) -> Plan | None:
        """The plan of a call; None where that stays as it was."""
        mask = named.get("attention_mask")
        if mask is None or mask.dim() != 2 or mask.device.type != "cpu" or self._looked_into(named, self.blocks):
            return None
        shortest, left = int(mask.sum(1).min()), not bool(mask[:, 0].all())
        if any(named.get(name) is not None for name in BESIDE) or left not in self.sides:
            return None
        return Plan(mask.numpy().astype(bool)) if 0 < shortest < mask.shape[1] else None

    def _leave(self, model: Module, given: Any, output: Any) -> None:
        hold(None)
        self.model.config._attn_implementation = self.before

    def _known(self) -> bool:
        """Whether the model is one whose blocks know of places by their input alone, and whose attention can be another."""
        config = self.model.config
        places = any(name.rpartition(".")[2] in ABSOLUTE for name, _ in self.model.named_modules())
        whole = len(self.blocks) == getattr(config, "num_hidden_layers", 0) > 0 and not config.is_encoder_decoder
        return whole and places and self.before == "sdpa"

    def _unpadded(self, left: bool) -> bool:
        """Whether rows with padding on one side get their answers without it."""
        before = self.calls
        return self._alike(partial(answers, self.model, left)) and self.calls > before


def _packing(forward: Any) -> Any:
    """The call of the first block, which reads a batch without its padding."""

    def packing(states: Tensor, *given: Any, **named: Any) -> Any:
        plan = current()
        return forward(states if plan is None else plan.packed(states), *given, **named)

    return packing


def _unpacking(forward: Any) -> Any:
    """The call of the last block, behind which the padding is there again."""

    def unpacking(*given: Any, **named: Any) -> Any:
        plan, output = current(), forward(*given, **named)
        if plan is None:
            return output
        return (plan.unpacked(output[0]), *output[1:]) if isinstance(output, tuple) else plan.unpacked(output)

    return unpacking


def _no_mask(*given: Any, **named: Any) -> None:
    """What packed attention needs of transformers' masks."""


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _no_mask)
