"""First token: a model whose head reads it alone computes no other behind the attention of its last block.

The keys and values of that attention need every token; what follows them, the feed-forward above all, is needed for one. The
answers and gradients are the same; dropout is drawn for fewer tokens, so that a training differs as it does by another seed. Of a
model with six blocks it saves an eighth of the products, of two blocks above a frozen body three eighths.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hfrecipes.family import blocks
from hfrecipes.lighter_calls import LighterCalls, answers
from hfrecipes.packed_attention import current

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

BEHIND_ATTENTION = ("attention.output", "sa_layer_norm", "mlp_norm")
"""What models call, inside a block, the first module that reads what attention made and works token by token."""


class FirstToken(LighterCalls):
    """A model's last block as it is called during a training, or from `begin()` to `end()`.

    It is whole in calls that ask for hidden states, that do not go through the whole model, or in which something else reads
    inside the block. `possible` says whether the model's answers allow it.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.block: Module | None = None
        self.active = False
        names = blocks(model)
        if names and len(names) == model.config.num_hidden_layers and not model.config.is_encoder_decoder:
            self.block = model.get_submodule(names[-1])
        self.point = None if self.block is None else _behind_attention(self.block)
        self.possible = self.point is not None and self._reads_first() and self._alike(partial(answers, model))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, the block goes on with the first token alone, however it is called."""
        assert self.point is not None
        hook = self.point.register_forward_pre_hook(lambda _, given: tuple(_first(states) for states in given))
        try:
            yield
        finally:
            hook.remove()

    def _put_on(self) -> None:
        assert self.point is not None
        self._hooks += [
            self.model.register_forward_pre_hook(self._enter, with_kwargs=True),
            self.point.register_forward_pre_hook(self._cut),
            self.model.register_forward_hook(self._leave, always_call=True),
        ]

    def _enter(self, model: Module, given: Any, named: dict[str, Any]) -> None:
        assert self.block is not None
        self.active = not self._looked_into(named, [self.block])

    def _leave(self, model: Module, given: Any, output: Any) -> None:
        self.active = False

    def _cut(self, module: Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not self.active:
            return None
        plan = current()
        return tuple(_first(states) if plan is None else states.index_select(1, plan.first) for states in given)

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


def _behind_attention(block: Module) -> Module | None:
    """The first module of a block that works token by token on what attention made; None where none has a known name."""
    inside = dict(block.named_modules())
    return next((inside[name] for name in BEHIND_ATTENTION if name in inside), None)


def _first(states: Tensor) -> Tensor:
    """The first token of each row, (rows, 1, units), as memory that a linear layer reads as one matrix."""
    return states[:, :1].contiguous()
