"""mlp: a hidden layer before the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.heads import Head
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.nn import Module


@value
class Mlp(Head):
    """A layer of `hidden` units (as many as the model's where it is not given), ReLU, `dropout`, and the last layer; with
    `batch_norm` before the ReLU (Howard and Ruder 2018, arXiv:1801.06146, section 3.3; Ioffe and Szegedy 2015,
    arXiv:1502.03167)."""

    hidden: Annotated[int, Field(gt=0)] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    batch_norm: bool = False

    @property
    def by_row(self) -> bool:
        return self.batch_norm

    def build(self, width: int, labels: int) -> Module:
        from torch import nn

        from hfrecipes.heads._layers import Layers

        hidden = self.hidden or width
        norm = [nn.BatchNorm1d(hidden)] if self.batch_norm else []
        return Layers(nn.Linear(width, hidden), *norm, nn.ReLU(), nn.Dropout(self.dropout), nn.Linear(hidden, labels))
