"""First token: a model whose head reads it alone computes no other behind the attention of its last block.

The keys and values of that attention need every token; what follows them, the feed-forward above all, is needed for one. The
answers and gradients are the same; dropout is drawn for fewer tokens, so that a training differs as it does by another seed. Of a
model with six blocks it saves an eighth of the products, of two blocks above a frozen body three eighths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from hfrecipes.family import blocks
from hfrecipes.packed_attention import current

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

BEHIND_ATTENTION = ("attention.output", "sa_layer_norm", "mlp_norm")
"""What models call, inside a block, the first module that reads what attention made and works token by token."""


class FirstToken(TrainerCallback):
    """A model's last block as it is called during a training, or from `begin()` to `end()`.

    It is whole in calls that ask for hidden states, that do not go through the whole model, or in which something else reads
    inside the block. `possible` says whether the model's answers allow it.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.block: Module | None = None
        self.active = False
        self._hooks: list[Any] = []
        names = blocks(model)
        if names and len(names) == model.config.num_hidden_layers and not model.config.is_encoder_decoder:
            self.block = model.get_submodule(names[-1])
        self.point = None if self.block is None else _behind_attention(self.block)
        self.possible = self.point is not None and self._reads_first() and self._answers_alike()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.begin()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.end()

    def begin(self) -> None:
        """Compute the first token alone, where that is possible."""
        if self.possible and not self._hooks:
            self._put_on()

    def end(self) -> None:
        """Make the block whole again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _put_on(self) -> None:
        assert self.point is not None
        self._hooks += [
            self.model.register_forward_pre_hook(self._enter, with_kwargs=True),
            self.point.register_forward_pre_hook(self._cut),
            self.model.register_forward_hook(self._leave, always_call=True),
        ]

    def _enter(self, model: Module, given: Any, named: dict[str, Any]) -> None:
        config = self.model.config
        asked = any(named.get(name) or getattr(config, name, False) for name in ("output_hidden_states", "output_attentions"))
        assert self.block is not None
        self.active = not asked and not any(module._forward_hooks for module in self.block.modules())

    def _leave(self, model: Module, given: Any, output: Any) -> None:
        self.active = False

    def _cut(self, module: Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not self.active:
            return None
        plan = current()
        return tuple(states[:, :1] if plan is None else states.index_select(1, plan.first) for states in given)

    def _reads_first(self) -> bool:
        """Whether the answers stay finite where the block hands on nothing but NaN for the tokens behind the first."""

        def poison(module: Module, given: Any, output: Any) -> Any:
            states = (output[0] if isinstance(output, tuple) else output).clone()
            states[:, 1:] = torch.nan
            return (states, *output[1:]) if isinstance(output, tuple) else states

        assert self.block is not None
        hook = self.block.register_forward_hook(poison)
        try:
            return all(bool(tensor.isfinite().all()) for tensor in answers(self.model))
        finally:
            hook.remove()

    def _answers_alike(self) -> bool:
        """Whether the answers are the same with the first token alone."""
        whole = answers(self.model)
        self._put_on()
        try:
            alone = answers(self.model)
        finally:
            self.end()
        return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(whole, alone, strict=True))


def answers(model: Any, left: bool = False) -> list[Tensor]:
    """What a model answers to two rows of tokens, one of them padded, on the `left` if so; zeros where it answers for padding."""
    device, training = next(model.parameters()).device, model.training
    config = model.config.get_text_config()
    ids = 1 + torch.arange(12, device=device).view(2, 6) * 7 % (config.vocab_size - 1)
    mask = torch.ones_like(ids)
    padding = (1, slice(2) if left else slice(4, 6))
    mask[padding] = 0
    ids[padding] = getattr(config, "pad_token_id", None) or 0
    try:
        with torch.no_grad():
            outputs = model.eval()(input_ids=ids, attention_mask=mask)
    finally:
        model.train(training)
    found = [tensor for tensor in outputs.values() if torch.is_tensor(tensor)]
    for tensor in found:
        if tensor.shape[:2] == mask.shape:
            tensor[mask == 0] = 0
    return found


def _behind_attention(block: Module) -> Module | None:
    """The first module of a block that works token by token on what attention made; None where none has a known name."""
    inside = dict(block.named_modules())
    return next((inside[name] for name in BEHIND_ATTENTION if name in inside), None)
