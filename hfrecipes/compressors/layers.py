"""layers: blocks are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.compressors import Compressor, Given
from hfrecipes.part import value

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Count = Annotated[int, Field(gt=0)]


@value
class Layers(Compressor):
    """Blocks are dropped, `keep` of them stay, evenly spread from the first on; two numbers are those of an encoder and of its
    decoder."""

    keep: Count | tuple[Count, Count]

    def foresee(self, model: PreTrainedModel, before: Sequence[str] = ()) -> None:
        from hfrecipes.shrinking import counted

        counted(model, self.keep, "compress.layers.keep")

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        from hfrecipes.shrinking import keep_layers

        keep_layers(model, self.keep, "compress.layers.keep")
        return model
