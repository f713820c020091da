"""unigram: texts are cut into the pieces that are the likeliest together, as T5 and XLM-R do it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from hfrecipes.part import value
from hfrecipes.tokenizers import Layout, Tokenization

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer

DIGITS = 6
"""Scores are kept to this many decimals: what is behind them depends on the order in which a sum was taken."""
PENALTY = 1e-4
"""The trainer puts letters that it could do without at the lowest score plus a multiple of this, in random order."""


@value
class Unigram(Tokenization):
    """Each piece has a probability, and a text is cut so that their product is the highest (Kudo 2018, arXiv:1804.10959). In
    training the pieces that are missed least are dropped until `vocab_size` are left; few texts may give fewer.

    The text is normalised by NFKC, and several spaces count as one.
    """

    leading_space: ClassVar[bool] = True

    vocab_size: Annotated[int, Field(gt=0)] = 30_000
    lowercase: bool = False

    def learn(self, texts: Iterable[str], layout: Layout) -> Tokenizer:
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        cleaning = [normalizers.Nmt(), normalizers.NFKC(), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Sequence([*cleaning, normalizers.Lowercase()] if self.lowercase else cleaning)
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=self.vocab_size, special_tokens=layout.tokens, unk_token=layout.unknown, show_progress=False
        )
        tokenizer.train_from_iterator(self.counted(texts, tokenizer.normalizer, len(layout.tokens)), trainer)
        scores = settle({piece: score for piece, score in pieces(tokenizer).items() if piece not in layout.tokens})
        vocabulary = [*((token, 0.0) for token in layout.tokens), *scores]
        tokenizer.model = models.Unigram(vocabulary, unk_id=layout.tokens.index(layout.unknown))
        return tokenizer

    def counted(self, texts: Iterable[str], normalizer: Normalizer, special: int) -> Iterator[str]:
        """The texts, and after the last of them the check that all letters have room in the vocabulary."""
        letters = {" "}
        for text in texts:
            letters.update(normalizer.normalize_str(text))
            yield text
        self.check_size(special + len(letters) + 1)  # the trainer keeps one longer piece at the least


def pieces(tokenizer: Tokenizer) -> dict[str, float]:
    """The log probability of each piece of a trained unigram model."""
    import json

    return dict(json.loads(tokenizer.to_str())["model"]["vocab"])


def settle(scores: dict[str, float]) -> list[tuple[str, float]]:
    """The pieces with their scores, without what differs between two trainings on the same texts; the likeliest come first."""
    lowest = min(scores.values(), default=0.0)
    letters = sum(len(piece) == 1 for piece in scores)
    spare = {piece for piece, score in scores.items() if len(piece) == 1 and score <= lowest + letters * PENALTY}
    settled = {piece: round(lowest if piece in spare else score, DIGITS) for piece, score in scores.items()}
    return sorted(settled.items(), key=lambda entry: (-entry[1], entry[0]))
