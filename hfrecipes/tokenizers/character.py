"""character: each character is a token, white space too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.tokenizers import Layout, Tokenization

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@value
class Character(Tokenization):
    """The characters of the training texts are the vocabulary, the most frequent ones first. Decoding gives the text back exactly
    where all its characters are known.

    Without `vocab_size` every character that is met `min_frequency` times has a token.
    """

    vocab_size: Annotated[int, Field(gt=0)] | None = None
    min_frequency: Annotated[int, Field(gt=0)] = 1
    lowercase: bool = False

    def learn(self, texts: Iterable[str], layout: Layout) -> Tokenizer:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.WordLevel(unk_token=layout.unknown))
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.FixedLength(length=1)
        tokenizer.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(
            vocab_size=self.vocab_size or 0x110000 + len(layout.tokens),
            min_frequency=self.min_frequency,
            special_tokens=layout.tokens,
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer
