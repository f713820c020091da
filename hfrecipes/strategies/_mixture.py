"""What mixout makes of a weight: itself in evaluation, a mixture with what it was in training."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import Module


class Mixture(Module):
    """Takes the share `p` of a weight from how it was, and scales the rest so that the mean stays: equation 5 of Lee et al.
    2020, arXiv:1909.11299."""

    before: torch.Tensor

    def __init__(self, weight: Any, p: float) -> None:
        super().__init__()
        self.p = p
        self.register_buffer("before", weight.detach().clone(), persistent=False)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight to compute with, of the same shape."""
        if not self.training or self.p == 0:
            return weight
        kept = torch.rand_like(weight) >= self.p
        return self.before + kept * (weight - self.before) / (1 - self.p)
