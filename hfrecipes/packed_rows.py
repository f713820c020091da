"""Packed rows: from its first block to its last a model reads the tokens of a batch as one row, without padding.

Attention alone looks at rows: at those of one length together, in an operator of our own. What is trained is the same to the
last digits; dropout is drawn for fewer tokens, as with another seed. As padding costs nothing then, a step may take rows of all
lengths: where rows are sorted there are steps of short texts and steps of long ones, and three epochs of MiniLM end 0.05 higher
in held-out loss. (What transformers has of this is FlashAttention's, and needs a GPU.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, TrainerCallback

from hfrecipes.family import blocks
from hfrecipes.first_token import answers
from hfrecipes.packed_attention import Plan, attend, current, hold

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

NAME = "packed_rows"
"""What the attention is called among those of transformers."""
ABSOLUTE = ("position_embeddings", "wpe")
"""What models call embeddings of positions that are added before the first block: others tell their blocks where a token is."""


class PackedRows(TrainerCallback):
    """A model's blocks as they are called during a training, or from `begin()` to `end()`.

    A call is as it ever was where it asks for hidden states, has no row with padding, or something else reads inside a block.
    `possible` says whether the model can be called so.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        names = blocks(model)
        self.blocks = [model.get_submodule(name) for name in names]
        self.before = model.config._attn_implementation
        self.calls = 0
        self.sides = [False, True]
        self._hooks: list[Any] = []
        self.sides = [left for left in (False, True) if self._known() and self._answers_alike(left)]
        self.possible = False in self.sides

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.begin()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.end()

    def begin(self) -> None:
        """Leave the padding out, where that is possible."""
        if self.possible and not self._hooks:
            self._put_on()

    def end(self) -> None:
        """Make calls as they were."""
        for hook in self._hooks:
            hook.remove()
        if self._hooks:
            for block in {id(block): block for block in (self.blocks[0], self.blocks[-1])}.values():
                del block.forward
        self._hooks.clear()

    def _put_on(self) -> None:
        self._hooks += [
            self.model.register_forward_pre_hook(self._enter, with_kwargs=True),
            self.model.register_forward_hook(self._leave, always_call=True),
        ]
        self.blocks[0].forward = _packing(self.blocks[0].forward)
        self.blocks[-1].forward = _unpacking(self.blocks[-1].forward)

    def _enter(self, model: Module, given: Any, named: dict[str, Any]) -> None:
        mask, config = named.get("attention_mask"), self.model.config
        asked = any(named.get(name) or getattr(config, name, False) for name in ("output_hidden_states", "output_attentions"))
        besides = any(named.get(name) is not None for name in ("inputs_embeds", "past_key_values", "position_ids"))
        if given or mask is None or mask.dim() != 2 or mask.device.type != "cpu" or asked or besides or self._watched():
            return
        lengths = mask.sum(1)
        if int(lengths.min()) in (0, mask.shape[1]) or (not bool(mask[:, 0].all())) not in self.sides:
            return
        hold(Plan(mask.numpy().astype(bool)))
        config._attn_implementation = NAME
        self.calls += 1

    def _leave(self, model: Module, given: Any, output: Any) -> None:
        hold(None)
        self.model.config._attn_implementation = self.before

    def _watched(self) -> bool:
        """Whether something else reads inside the blocks."""
        return any(module._forward_hooks for block in self.blocks for module in block.modules())

    def _known(self) -> bool:
        """Whether the model is one whose blocks know of places by their input alone, and whose attention can be another."""
        config = self.model.config
        places = any(name.rpartition(".")[2] in ABSOLUTE for name, _ in self.model.named_modules())
        whole = len(self.blocks) == getattr(config, "num_hidden_layers", 0) > 0 and not config.is_encoder_decoder
        return whole and places and self.before == "sdpa"

    def _answers_alike(self, left: bool) -> bool:
        """Whether the answers to rows with padding on one side are the same without it, and whether it was left out."""
        whole, before = answers(self.model, left), self.calls
        self._put_on()
        try:
            packed = answers(self.model, left)
        finally:
            self.end()
        alike = all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(whole, packed, strict=True))
        return alike and self.calls > before


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
