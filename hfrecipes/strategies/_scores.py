"""Scores beside the weights of a layer, which learn from what the weights would."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Masked(torch.autograd.Function):
    """Weights times a mask. The gradient of a score is that of its weight in the product times the weight, as if the mask were
    the score (straight through)."""

    @staticmethod
    def forward(context: Any, weights: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
        context.save_for_backward(weights, mask)
        return weights * mask

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, mask = context.saved_tensors
        return gradient * mask, gradient * weights, None


class Scored(nn.Module):
    """Gives the weights of a layer with zeros where their scores are lowest."""

    mask: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros_like(weights))
        self.register_buffer("mask", torch.ones_like(weights))

    def choose(self, share: float) -> None:
        """Zero the share of the weights that has the lowest scores."""
        count = int(share * self.scores.numel())
        order = self.scores.detach().flatten().argsort(stable=True)
        fresh = torch.ones_like(self.mask).flatten()
        fresh[order[:count]] = 0
        self.mask.copy_(fresh.view_as(self.mask))

    def forward(self, weights: Tensor) -> Tensor:
        """The weights with their zeros."""
        return _Masked.apply(weights, self.scores, self.mask)  # type: ignore[no-untyped-call, no-any-return]
