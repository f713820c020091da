"""two_four: of four weights side by side the two smaller become zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.compressors import Compressor, Given
from hfrecipes.errors import RecipeError
from hfrecipes.part import value

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@value
class TwoFour(Compressor):
    """Of four weights side by side in the row of a matrix the two smaller become zero: the pattern that the sparse tensor cores
    of NVIDIA's GPUs read from Ampere on (Mishra et al. 2021, arXiv:2104.08378). Elsewhere the zeros make nothing faster."""

    def foresee(self, model: PreTrainedModel, before: Sequence[str] = ()) -> None:
        from hfrecipes.compressors._structured import some

        some(model, self.name)

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        import torch
        from transformers.pytorch_utils import Conv1D

        from hfrecipes.family import linear_layers

        self.foresee(model)
        for name in linear_layers(model):
            layer: Any = model.get_submodule(name)
            rows = layer.weight.data.T if isinstance(layer, Conv1D) else layer.weight.data
            if rows.shape[1] % 4:
                what = f"{name} reads {rows.shape[1]} units, which are no fours"
                raise RecipeError("compress.two_four", what, "Remove units in multiples of four")
            fours = rows.reshape(len(rows), -1, 4)
            small = fours.abs().argsort(-1)[..., :2]
            rows.copy_(fours.scatter(-1, small, torch.zeros_like(fours)).view_as(rows))
        return model
