"""word: each word is a token, and so is each run of punctuation marks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.tokenizers import Layout, Tokenization

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@value
class Word(Tokenization):
    """The most frequent words are the vocabulary, and all others are unknown. The baseline that pieces of words are measured
    against.

    Words that are met less than `min_frequency` times are left out. Decoding puts one space between two tokens.
    """

    vocab_size: Annotated[int, Field(gt=0)] = 30_000
    min_frequency: Annotated[int, Field(gt=0)] = 1
    lowercase: bool = False

    def learn(self, texts: Iterable[str], layout: Layout) -> Tokenizer:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.WordLevel(unk_token=layout.unknown))
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(
            vocab_size=self.vocab_size, min_frequency=self.min_frequency, special_tokens=layout.tokens, show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer
