"""prototype: a point for each class; what is nearest to a text's embedding is its label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hfrecipes.heads import Head
from hfrecipes.value import Field, value

if TYPE_CHECKING:
    from torch.nn import Module


@value
class Prototype(Head):
    """A point for each class among the embeddings of texts: a logit is minus `scale` times the squared distance to it (Snell et
    al. 2017, arXiv:1703.05175, equation 2).

    The embedding is what `pooling` makes of the last hidden states, at unit length. Before a training the points are the means of
    the classes, and so they are behind it, whatever it minimised: then a class can be added to the model from a few examples,
    without training (`Predictor.add_class`). `means: false` keeps the points that were learned, among which no other is at home.
    """

    pooling: Literal["mean", "cls"] = "mean"
    scale: Annotated[float, Field(gt=0)] = 10.0
    means: bool = True

    def build(self, width: int, labels: int) -> Module:
        from hfrecipes.heads._layers import Layers, Prototypes

        return Layers(Prototypes(width, labels, self.scale, self.means))
