"""magnitude: the smallest weights become zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hfrecipes.compressors import Compressor, Given
from hfrecipes.part import value
from hfrecipes.zeros import Sparsity, apply, matrices, smallest

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@value
class Magnitude(Compressor):
    """The smallest weights of the linear layers become zero, the share `sparsity` of all of them (`scope: global`) or of each
    matrix (`local`), at once (Han et al. 2015, arXiv:1506.02626). For a share that grows in training see the strategy of the same
    name. Zeros make the file smaller when it is zipped; they make nothing faster on processors that multiply by zero as by
    anything else."""

    sparsity: Sparsity
    scope: Literal["local", "global"] = "global"

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        scores = {name: weight.detach().abs() for name, weight in matrices(model).items()}
        apply(model, smallest(scores, self.sparsity, self.scope == "global"))
        return model
