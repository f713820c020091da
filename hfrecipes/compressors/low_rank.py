"""low_rank: linear layers become two thinner ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.compressors import Compressor, Given
from hfrecipes.compressors._structured import Share
from hfrecipes.part import value

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@value
class LowRank(Compressor):
    """Linear layers inside of the blocks become two thinner ones, which have `keep` of the weights: the best such matrices of the
    trained one by its singular values (Eckart and Young 1936). Needs recovery more than the others, and stands behind those that
    remove units."""

    keep: Share

    def foresee(self, model: PreTrainedModel, before: Sequence[str] = ()) -> None:
        from hfrecipes.compressors._structured import some, whole

        whole(model, self.name, before)
        some(model, self.name)

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        import torch
        from transformers.pytorch_utils import Conv1D

        from hfrecipes.family import linear_layers
        from hfrecipes.reshaping import factors, size

        self.foresee(model)
        for name in linear_layers(model):
            layer: Any = model.get_submodule(name)
            rows, columns = size(layer)
            rank = max(1, int(self.keep * rows * columns / (rows + columns)))
            matrix = layer.weight.data.T if isinstance(layer, Conv1D) else layer.weight.data
            left, values, right = torch.linalg.svd(matrix.float(), full_matrices=False)
            made = factors(layer, rank)
            root = values[:rank].sqrt()
            made[0].weight.data = root[:, None] * right[:rank]
            made[1].weight.data = left[:, :rank] * root
            if layer.bias is not None:
                made[1].bias.data = layer.bias.data
            model.set_submodule(name, made)
        return model
