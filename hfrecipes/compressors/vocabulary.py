"""vocabulary: tokens that the rows never use are dropped."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hfrecipes.compressors import Compressor, Given
from hfrecipes.part import value

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@value
class Vocabulary(Compressor):
    """Tokens that the run's rows use fewer than `least` times are dropped from the tokenizer, and their rows from the embeddings:
    most of the weights of a small model. Special tokens and single characters stay, so that other words can still be read, in
    more pieces (Abdaoui et al. 2020, arXiv:2010.05609)."""

    least: Annotated[int, Field(gt=0)] = 1

    def apply(self, model: PreTrainedModel, given: Given) -> PreTrainedModel:
        import torch

        from hfrecipes.compressors._tokens import cut, kept, renumber
        from hfrecipes.tokens import PROMPT

        counts: Counter[int] = Counter()
        for row in given.tokens():
            counts.update(row)
        keep = kept(given.tokenizer, [i for i, count in counts.items() if count >= self.least])
        chosen = torch.tensor(keep)
        tables = {id(weight): weight for weight in _tables(model)}
        for weight in tables.values():
            weight.data[: len(keep)] = weight.data[chosen]
        model.resize_token_embeddings(len(keep))
        fresh = {old: new for new, old in enumerate(keep)}
        renumber(model.config, fresh, [PROMPT])
        if model.can_generate():
            renumber(model.generation_config, fresh)
        cut(given.tokenizer, keep)
        given.renumber(keep)
        return model


def _tables(model: Any) -> list[torch.Tensor]:
    """What has a row for each token: the embeddings, and the weights and biases of a layer that gives chances of
    tokens, and what a body holds of its own (a weight of each token)."""
    found = [model.get_input_embeddings().weight]
    found += [each for each in model.base_model.parameters(recurse=False) if len(each) == len(found[0])]
    if (out := model.get_output_embeddings()) is not None:
        found += [each for each in (out.weight, out.bias) if each is not None]
    return found
