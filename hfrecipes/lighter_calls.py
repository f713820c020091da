"""Lighter calls: a model that is called in a way that costs less, and the trial that shows that it answers the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class LighterCalls(TrainerCallback):
    """A model as it is called during a training, or from `begin()` to `end()`, where that is `possible`."""

    model: Any
    possible: bool

    def __init__(self, model: Any) -> None:
        self.model, self.possible = model, False
        self._hooks: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.begin()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.end()

    def begin(self) -> None:
        """Call the model so, where that is possible."""
        if self.possible and not self._hooks:
            self._put_on()

    def end(self) -> None:
        """Call the model as ever."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _put_on(self) -> None:
        """Register in `_hooks` what makes the calls lighter."""
        raise NotImplementedError

    def _looked_into(self, named: Mapping[str, Any], blocks: Iterable[Module]) -> bool:
        """Whether a call asks for what is inside the model, or something else reads inside some blocks."""
        inside = ("output_hidden_states", "output_attentions")
        asked = any(named.get(name) or getattr(self.model.config, name, False) for name in inside)
        return asked or any(module._forward_hooks for block in blocks for module in block.modules())

    def _alike(self, said: Callable[[], list[Tensor]]) -> bool:
        """Whether what is `said` is the same with lighter calls."""
        before = said()
        self._put_on()
        try:
            after = said()
        finally:
            self.end()
        return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(before, after, strict=True))


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
