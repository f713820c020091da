"""prompt: a few vectors in front of every text learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.strategies import Strategy
from hfrecipes.tokens import PROMPT

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hfrecipes.family import Family


@value
class Prompt(Strategy):
    """`tokens` vectors in front of every text learn, and the head (prompt tuning, Lester et al. 2021, arXiv:2104.08691).

    They are tokens of the vocabulary that the tokenizer writes by itself, behind the first special token where a text has one:
    a classifier that reads the first token still finds it there, and the result is a plain model with a plain tokenizer.
    """

    tokens: Annotated[int, Field(gt=0)] = 20

    rate_factor: ClassVar[float] = 100.0
    rate_source: ClassVar[str] = (
        "Lester et al. 2021, arXiv:2104.08691, section 3 (0.3 with adafactor), far more than full fine-tuning"
    )

    def extend(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        from hfrecipes.strategies._prompt_tokens import write_in_front

        return {PROMPT: write_in_front(tokenizer, self.tokens)}

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        from hfrecipes.strategies._adapters import heads
        from hfrecipes.strategies._prompt_tokens import open_rows

        model.requires_grad_(False)
        for name in heads(model):
            model.get_submodule(name).requires_grad_(True)
        open_rows(model)
        return model

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        from hfrecipes.strategies._prompt_tokens import close_rows

        close_rows(model)
        model.requires_grad_(True)
        return model
