"""Layers in the place of one linear layer."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Linear, Sequential


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


class Prototypes(Linear):
    """Minus `scale` times the squared distances of vectors (…, width) to the rows of `weight`, as logits (…, labels). `means`:
    when a training ends, they are the means of classes.

    A linear layer without a bias by its weights, so that models draw them as they draw those of others. In a graph the distances
    are no matrix product: quantizers leave them exact, and the rows can be replaced.
    """

    def __init__(self, width: int, labels: int, scale: float, means: bool = True) -> None:
        super().__init__(width, labels, bias=False)
        self.scale, self.means = scale, means

    def forward(self, vectors: Tensor) -> Tensor:
        """The logits."""
        return (vectors.unsqueeze(-2) - self.weight).square().sum(dim=-1) * -self.scale
