"""bpe: byte pairs that are often together become one token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.tokenizers import Layout, Tokenization

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = {chr(byte): byte for byte in PRINTABLE} | {
    chr(256 + n): byte for n, byte in enumerate(sorted(set(range(256)) - set(PRINTABLE)))
}
"""The byte behind each character of the vocabulary: bytes that cannot be printed have a letter above 255."""


@value
class Bpe(Tokenization):
    """The most frequent pair of tokens is merged into one, again and again, beginning with bytes. Byte pair encoding is of
    Sennrich et al. 2016 (arXiv:1508.07909), over the 256 bytes as in GPT-2 (Radford et al. 2019): nothing is unknown, and
    decoding gives the text back exactly.

    A pair that is met less than `min_frequency` times is not merged.
    """

    leading_space: ClassVar[bool] = True

    vocab_size: Annotated[int, Field(gt=0)] = 30_000
    min_frequency: Annotated[int, Field(gt=0)] = 2
    lowercase: bool = False

    def learn(self, texts: Iterable[str], layout: Layout) -> Tokenizer:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

        tokenizer = Tokenizer(models.BPE())
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=layout.tokens,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return tokenizer

    def spell(self, token: str) -> str:
        known = all(character in BYTES for character in token)
        return super().spell(bytes(BYTES[c] for c in token).decode("utf-8", "backslashreplace") if known else token)
