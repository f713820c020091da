"""hidden_states: the states behind the student's blocks are pulled to those behind the teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.losses import Reads
from hfrecipes.losses._layers import OfLayers, over_tokens
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class HiddenStates(OfLayers):
    """The states behind the student's blocks against those behind the teacher's, token by token: one minus their cosine (Sanh et
    al. 2019, arXiv:1910.01108) or their squared difference (`mse`; TinyBERT, Jiao et al. 2020, arXiv:1909.10351). Where the
    widths differ, a linear map that learns along turns the student's into the teacher's."""

    distance: Literal["cosine", "mse"] = "cosine"

    reads: ClassVar[Reads] = "states"

    def __call__(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        from torch.nn import functional

        mine, its = student.float(), teacher.float()
        apart = 1 - functional.cosine_similarity(mine, its, dim=-1) if self.distance == "cosine" else (mine - its).pow(2).mean(-1)
        return over_tokens(apart, mask)
