"""verbaliser: a masked-language-modelling head that knows one word a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hfrecipes.heads import Head
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch.nn import Module


@value
class Verbaliser(Head):
    """What a pattern's masked word is told by (Schick and Schütze 2021, arXiv:2001.07676): the layers of a head that was trained
    on masked words, and of the rows of its last layer those of the labels' words.

    A recipe with a pattern (`task: {text-classification: {pattern: …}}`) brings it along, with the sizes and weights of the
    checkpoint's own: `units` between the layers, the `activation` and the `epsilon` of the norm, and which layers have a `bias`.
    """

    units: Annotated[int, Field(gt=0)]
    activation: str = "gelu"
    epsilon: Annotated[float, Field(gt=0)] = 1e-12
    bias: tuple[bool, bool, bool] = (True, True, True)

    @property
    def pooling(self) -> Literal["mask"]:
        return "mask"

    def build(self, width: int, labels: int) -> Module:
        from torch.nn import LayerNorm, Linear
        from transformers.activations import ACT2FN

        from hfrecipes.heads._layers import Layers

        dense, norm, last = self.bias
        return Layers(
            Linear(width, self.units, bias=dense),
            ACT2FN[self.activation],
            LayerNorm(self.units, eps=self.epsilon, bias=norm),
            Linear(self.units, labels, bias=last),
        )
