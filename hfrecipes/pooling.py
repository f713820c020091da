"""Pooling: a model that classifies by one vector a text, the embedding, which it says beside the logits.

A model of transformers hands what its own layers make of a text to the last of them. For a head that pools, the vector is the
mean of the last hidden states (or the first) at unit length instead: what two texts mean can be compared by it. Or it is the
state of the masked token, as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from torch.nn.functional import normalize
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.utils.generic import ModelOutput

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

MARK = "pooled_head"
"""The attribute of a model with a head that pools: the name of that head, and how it pools."""


@dataclass
class Embedded(ModelOutput):
    """`logits` of shape (rows, labels), and the `embeddings` that they come from, of shape (rows, units)."""

    loss: Any = None
    logits: Any = None
    embeddings: Any = None


def pool(model: PreTrainedModel, name: str, pooling: str | None) -> None:
    """Let a model, in place, answer by its head of this name from pooled states; nothing where the head does not pool."""
    if pooling is not None:
        setattr(model, MARK, (name, pooling))
        kind: Any = type(model)
        model.__class__ = _pooled(kind)


def pooled_head(model: Any) -> tuple[str, str] | None:
    """The name of a model's head and how it pools; None where it does not."""
    found: tuple[str, str] | None = vars(model).get(MARK)
    return found


def vectors(states: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    """One vector of unit length a row of states (rows, tokens, units); padding is left out."""
    if pooling == "cls":
        return normalize(states[:, 0], dim=-1)
    if mask is None:
        return normalize(states.mean(dim=1), dim=-1)
    wide = mask.unsqueeze(-1).to(states.dtype)
    return normalize((states * wide).sum(dim=1) / wide.sum(dim=1).clamp(min=1), dim=-1)


@cache
def _pooled(kind: Any) -> Any:
    """A class of models that classify, with a pass of its own."""

    def forward(self: Any, input_ids: Any = None, attention_mask: Any = None, labels: Any = None, **named: Any) -> Embedded:
        name, pooling = getattr(self, MARK)
        body = self.get_encoder() if self.config.is_encoder_decoder else self.base_model
        states = body(input_ids=input_ids, attention_mask=attention_mask, **named).last_hidden_state
        if pooling == "mask":
            here = (input_ids == self.config.mask_token_id).unsqueeze(-1)
            embeddings = (states * here.to(states.dtype)).sum(dim=1)
        else:
            embeddings = vectors(states, attention_mask, pooling)
        logits = self.get_submodule(name)(embeddings)
        loss = None if labels is None else ForSequenceClassificationLoss(labels, logits, self.config)
        return Embedded(loss, logits, embeddings)

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
