"""heads: the attention heads that matter least are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfrecipes.compressors import Given
from hfrecipes.compressors._structured import Removing
from hfrecipes.errors import RecipeError
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfrecipes.family import Attention


@value
class Heads(Removing):
    """The attention heads that matter least for the loss on the run's own rows are removed, `keep` of them stay (Michel et al.
    2019, arXiv:1905.10650). Where several heads share keys and values they go together, and where a bias over positions is shared
    by all blocks, as T5's is, all blocks keep the same heads."""

    def counts(self, model: PreTrainedModel) -> list[int]:
        from hfrecipes.compressors._structured import units

        return [units(each.out) // (each.head_size * each.shared) for each in self._attentions(model)]

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        import torch

        from hfrecipes.compressors._structured import importances, normed
        from hfrecipes.reshaping import settle

        self.foresee(model)
        every, biases = self._attentions(model), self._biases(model)
        groups = [each.head_size * each.shared for each in every]
        found = importances(model, [each.out for each in every], groups, given)
        if biases:
            total = torch.stack([normed(each) for each in found]).sum(0)
            found = [total for _ in found]
        chosen = self.chosen(found)
        for each, kept in zip(every, chosen, strict=True):
            self._cut(each, kept)
        for bias in biases:
            bias.weight.data = bias.weight.data[:, chosen[0]]
            bias.embedding_dim = len(chosen[0])
        settle(model)
        return model

    def _attentions(self, model: Any) -> list[Attention]:
        """Those of all blocks. Raises RecipeError where there are none, or not to be treated apart."""
        from hfrecipes.family import attentions, blocks

        every = [each for name in blocks(model) for each in attentions(model.get_submodule(name))]
        if not every:
            raise RecipeError("compress.heads", f"no attention is known in {type(model).__name__}", "Leave it out")
        if self.scope == "global" and self._biases(model):
            raise RecipeError("compress.heads.scope", "the blocks share a bias over positions", "Write `scope: local`")
        return every

    def _biases(self, model: Any) -> list[Any]:
        """The tables of a bias over positions that a stack's first block holds for all of them."""
        return [module for name, module in model.named_modules() if name.endswith("relative_attention_bias")]

    def _cut(self, each: Attention, kept: Tensor) -> None:
        import torch

        from hfrecipes.compressors._structured import keep, spread, units

        read, own = spread(kept, each.head_size * each.shared), spread(kept, each.head_size)
        if each.queries is each.keys:  # one layer makes all three
            width = units(each.out)
            keep(each.queries, torch.cat([read, read + width, read + 2 * width]), reads=False)
        else:
            for layer, made in ((each.queries, read), (each.keys, own), (each.values, own)):
                keep(layer, made, reads=False)
        keep(each.out, read, reads=True)
