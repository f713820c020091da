"""Layers in the place of one linear layer."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Sequential


class Layers(Sequential):
    """Layers of which the last is linear. Code that draws the weights of the linear layer that was here (T5's does) finds the
    last one's."""

    @property
    def weight(self) -> Tensor:
        """The matrix of the last layer, of shape (labels, units)."""
        return self[-1].weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor:
        """The vector of the last layer, of shape (labels,)."""
        return self[-1].bias  # type: ignore[return-value]
