"""A model that computes as its int8 graph will, so that training can make up for what is lost there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hfrecipes.tasks import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Quantized:
    """The linear layers and embeddings of a model compute with weights and inputs that are rounded to 8 bits, as the `cpu` target
    does: linear weights with one scale a channel, embeddings with one range, inputs with one range a row, padding apart.
    Gradients pass the rounding unchanged (straight-through, Jacob et al. 2018, arXiv:1712.05877), and the weights themselves stay
    as exact as they are."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.masks: list[Tensor] = []
        width, writes = model.config.get_text_config().hidden_size, model.can_generate()
        layer: Any
        for layer in model.modules():
            if type(layer) is nn.Embedding:
                vars(layer)["forward"] = partial(_looked_up, layer)
            elif type(layer) in (nn.Linear, Conv1D):
                outer = max(layer.weight.shape) > width == layer.weight.shape[1 if isinstance(layer, Conv1D) else 0]
                if not (writes and outer):  # stays in fp32 there
                    vars(layer)["forward"] = partial(_rounded, layer, self)

    def read(self, batch: Mapping[str, Any]) -> None:
        """Say which tokens of a batch count."""
        self.masks = [batch["attention_mask"].bool()]
        if "labels" in batch and batch["labels"].dim() == 2:
            self.masks.append(batch["labels"] != IGNORED)

    def range(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the greatest entry of each row."""
        for mask in self.masks:
            if given.dim() == 3 and given.shape[:2] == mask.shape:
                given = given.masked_fill(~mask[..., None], 0.0)
                break
        rest = tuple(range(1, given.dim()))
        return given.amin(rest, keepdim=True), given.amax(rest, keepdim=True)


def _rounded(layer: Any, model: Quantized, given: Tensor) -> Tensor:
    """What a linear layer makes of its rounded input and weights."""
    weight = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
    scale = weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
    with torch.no_grad():
        steps = (weight / scale).round() * scale - weight
        exact = given.float()
        error = _to_eight_bits(exact, *model.range(exact)) - exact
    return nn.functional.linear(given + error.to(given.dtype), weight + steps, layer.bias)


def _looked_up(layer: Any, ids: Tensor) -> Tensor:
    """The rounded rows of an embedding."""
    found = nn.functional.embedding(ids, layer.weight, layer.padding_idx)
    with torch.no_grad():
        error = _to_eight_bits(found, *layer.weight.aminmax()) - found
    return found + error


def _to_eight_bits(given: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Numbers rounded to one of 256 between two bounds, zero among them."""
    low, high = low.clamp(max=0), high.clamp(min=0)
    unit = (high - low).clamp(min=1e-8) / 255
    zero = (-low / unit).round()
    return ((given / unit).round() + zero).clamp(0, 255).sub(zero) * unit


def release(model: PreTrainedModel) -> None:
    """Let the layers of a model compute exactly again."""
    for module in model.modules():
        if getattr(vars(module).get("forward"), "func", None) in (_rounded, _looked_up):
            del module.forward
