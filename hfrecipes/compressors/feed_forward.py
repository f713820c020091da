"""feed_forward: the units inside of feed-forward layers that matter least are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfrecipes.compressors import Given
from hfrecipes.compressors._structured import Removing
from hfrecipes.errors import RecipeError
from hfrecipes.part import value

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes import family


@value
class FeedForward(Removing):
    """The units inside of feed-forward layers that matter least for the loss on the run's own rows are removed, `keep` of them
    stay (structured pruning by first-order importance, Molchanov et al. 2017, arXiv:1611.06440)."""

    def counts(self, model: PreTrainedModel) -> list[int]:
        from hfrecipes.compressors._structured import units

        return [units(each.out) for each in self._layers(model)]

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        from hfrecipes.compressors._structured import importances, keep

        self.foresee(model)
        found = self._layers(model)
        readers = [each.out for each in found]
        chosen = self.chosen(importances(model, readers, [1] * len(readers), given))
        for each, kept in zip(found, chosen, strict=True):
            for layer in each.inner:
                keep(layer, kept, reads=False)
            keep(each.out, kept, reads=True)
        return model

    def _layers(self, model: PreTrainedModel) -> list[family.FeedForward]:
        """Those of all blocks. Raises RecipeError where there are none."""
        from hfrecipes.family import blocks, feed_forwards

        found = [each for name in blocks(model) for each in feed_forwards(model.get_submodule(name))]
        if not found:
            raise RecipeError("compress.feed_forward", f"no feed-forward is known in {type(model).__name__}", "Leave it out")
        return found
