"""linear: one layer, behind dropout of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hfrecipes.heads import Head
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.nn import Module


@value
class Linear(Head):
    """One linear layer behind `dropout`, which comes on top of the model's own. With `pooling` it reads the mean of the last
    hidden states (or the first one) at unit length, not what the model's own layers make of them."""

    pooling: Literal["mean", "cls"] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def build(self, width: int, labels: int) -> Module:
        from torch import nn

        from hfrecipes.heads._layers import Layers

        return Layers(nn.Dropout(self.dropout), nn.Linear(width, labels))
