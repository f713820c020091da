"""wordpiece: words are cut into the longest pieces that are known, as BERT does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, repeat
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.tokenizers import Layout, Tokenization

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@value
class Wordpiece(Tokenization):
    """Words are cut from the left into the longest known pieces (Schuster & Nakajima 2012). The text is cleaned as by BERT
    (Devlin et al. 2019, arXiv:1810.04805), `##` opens a piece inside a word, and the pieces are learned by merging the pairs
    that are the most frequent.

    `lowercase` takes the accents off as well. A pair that is met less than `min_frequency` times is not merged.
    """

    vocab_size: Annotated[int, Field(gt=0)] = 30_000
    min_frequency: Annotated[int, Field(gt=0)] = 2
    lowercase: bool = True

    def learn(self, texts: Iterable[str], layout: Layout) -> Tokenizer:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        normalizer, splitter = normalizers.BertNormalizer(lowercase=self.lowercase), pre_tokenizers.BertPreTokenizer()
        words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
        # The trainer numbers the letters inside words in random order, and breaks ties by number: here they have theirs already.
        inside = sorted({f"##{letter}" for word in words for letter in word[1:]})
        trainer = trainers.WordPieceTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=[*layout.tokens, *inside],
            show_progress=False,
        )
        learned = Tokenizer(models.WordPiece(unk_token=layout.unknown))
        learned.pre_tokenizer = splitter
        learned.train_from_iterator(chain.from_iterable(repeat(word, count) for word, count in words.items()), trainer)
        tokenizer = Tokenizer(models.WordPiece(learned.get_vocab(), unk_token=layout.unknown))
        tokenizer.add_special_tokens(layout.tokens)
        tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, splitter, decoders.WordPiece()
        return tokenizer
